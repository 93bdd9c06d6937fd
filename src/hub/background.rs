//! What takes too long for the hub's thread, each on a thread of its own: checking passwords
//! and finding host names; what follows from the results is left to the hub.

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

/// Tells the hub's thread, from any thread, that there is a result.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// A thread that does one kind of work, job after job. It starts with the first job and ends
/// with this value.
pub struct Background<Job, Done> {
    name: &'static str,
    work: fn(Job) -> Done,
    wake: Wake,
    jobs: Option<Sender<Job>>,
    done: Option<Receiver<Done>>,
}

impl<Job: Send + 'static, Done: Send + 'static> Background<Job, Done> {
    /// No thread is started yet.
    pub fn new(name: &'static str, work: fn(Job) -> Done, wake: Wake) -> Background<Job, Done> {
        Background { name, work, wake, jobs: None, done: None }
    }

    /// Hands over a job. False when no thread can be started.
    pub fn start(&mut self, job: Job) -> bool {
        if self.jobs.is_none() {
            let (jobs, todo) = channel::<Job>();
            let (finished, done) = channel();
            let (work, wake) = (self.work, Arc::clone(&self.wake));
            let thread = std::thread::Builder::new().name(self.name.into()).spawn(move || {
                for job in todo {
                    if finished.send(work(job)).is_err() {
                        break;
                    }
                    wake();
                }
            });
            if let Err(error) = thread {
                log::error!("cannot start the thread {}: {error}", self.name);
                return false;
            }
            (self.jobs, self.done) = (Some(jobs), Some(done));
        }
        self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok())
    }

    /// The next result; waits for it no longer than this.
    pub fn wait(&self, longest: std::time::Duration) -> Option<Done> {
        self.done.as_ref()?.recv_timeout(longest).ok()
    }

    /// The next result, if there is one.
    pub fn result(&self) -> Option<Done> {
        self.done.as_ref()?.try_recv().ok()
    }
}

fn argon2() -> Argon2<'static> {
    // The least that OWASP recommends: some 15 ms, so that logins do not wait for each other.
    match Params::new(12 * 1024, 3, 1, None) {
        Ok(params) => Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
        Err(_) => Argon2::default(),
    }
}

/// The hash of a password, with what is needed to check it. `None` when there is no randomness.
pub fn hash_password(password: &[u8]) -> Option<String> {
    match argon2().hash_password(password) {
        Ok(hash) => Some(hash.to_string()),
        Err(error) => {
            log::error!("cannot hash a password: {error}");
            None
        }
    }
}

/// Whether this is the password.
pub fn password_is(password: &[u8], hash: &[u8]) -> bool {
    let Ok(hash) = std::str::from_utf8(hash) else { return false };
    PasswordHash::new(hash).is_ok_and(|hash| argon2().verify_password(password, &hash).is_ok())
}

/// A random password that is easily typed.
pub fn random_password() -> std::io::Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 14];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes.iter().map(|byte| LETTERS[usize::from(byte % 32)] as char).collect())
}

/// A connection whose host name is to be found.
pub struct Lookup {
    /// The connection.
    pub id: super::ConnId,
    /// Where it comes from.
    pub ip: IpAddr,
    /// Goes with it.
    pub alive: Weak<()>,
}

impl Lookup {
    /// Finds the name; not for who has hung up meanwhile, so that strangers who come and go do
    /// not keep those waiting who stay.
    pub fn find(self) -> (super::ConnId, Option<String>) {
        (self.id, self.if_wanted(host_name))
    }

    fn if_wanted(&self, find: impl FnOnce(IpAddr) -> Option<String>) -> Option<String> {
        (self.alive.strong_count() > 0).then(|| find(self.ip)).flatten()
    }
}

/// The host name of an address, lower case; `None` when it has none. May take many seconds.
fn host_name(ip: IpAddr) -> Option<String> {
    let address = nix::sys::socket::SockaddrStorage::from(SocketAddr::new(ip, 0));
    let mut host = [0u8; 1025];
    // SAFETY: the address is valid for its own length, and the buffer for the length given;
    // no service name is asked for.
    let failed = unsafe {
        libc::getnameinfo(
            nix::sys::socket::SockaddrLike::as_ptr(&address),
            nix::sys::socket::SockaddrLike::len(&address),
            host.as_mut_ptr().cast(),
            host.len() as libc::socklen_t,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    if failed != 0 {
        return None;
    }
    let name = std::ffi::CStr::from_bytes_until_nul(&host).ok()?.to_str().ok()?;
    Some(name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_knows_its_password() {
        let hash = hash_password(b"sec\xffret").unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(password_is(b"sec\xffret", hash.as_bytes()));
        assert!(!password_is(b"secret", hash.as_bytes()));
        assert!(!password_is(b"secret", b"secret"), "a hash is needed");
        assert_ne!(random_password().unwrap(), random_password().unwrap());
    }

    #[test]
    fn nobody_looks_for_the_host_of_who_has_hung_up() {
        let connection = Arc::new(());
        let id = super::super::slots::Slots::default().insert(());
        let lookup = Lookup { id, ip: IpAddr::from([127, 0, 0, 1]), alive: Arc::downgrade(&connection) };
        assert_eq!(lookup.if_wanted(|ip| Some(ip.to_string())).as_deref(), Some("127.0.0.1"));
        drop(connection);
        assert_eq!(lookup.if_wanted(|_| unreachable!("the system is not asked")), None);
    }

    #[test]
    fn results_come_from_the_thread() {
        let (woken, wakes) = channel();
        let mut doubled =
            Background::new("double", |n: i32| n * 2, Arc::new(move || woken.send(()).unwrap_or(())));
        assert_eq!(doubled.result(), None);
        assert!(doubled.start(4) && doubled.start(5));
        let mut results = Vec::new();
        while results.len() < 2 {
            wakes.recv_timeout(std::time::Duration::from_secs(30)).expect("waited for a result");
            results.extend(doubled.result());
        }
        assert_eq!(results, [8, 10]);
    }
}
