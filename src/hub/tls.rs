//! TLS for clients with `nmdcs://`: the hub's certificate, and a socket whose bytes are
//! encrypted; whose connection it is, and what is said on it, is as on any other.

use std::fs::{self, DirBuilder, File};
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use sha2::{Digest, Sha256};

use crate::private_files;

/// How many encrypted bytes of one connection wait at most, beside what its queue holds.
const MOST_WAITING: usize = 32 << 10;

/// Why clients cannot connect with TLS. The text tells an operator what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of the pair.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, io::Error),
    /// It holds something else.
    #[error("{0} holds no {1} in PEM format: {2}")]
    Pem(PathBuf, &'static str, rustls::pki_types::pem::Error),
    /// The two do not belong together, or use something that is not supported.
    #[error("the certificate {0} and its key cannot be used: {1}")]
    Pair(PathBuf, rustls::Error),
    /// A pair of the hub's own cannot be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// Or cannot be kept.
    #[error("cannot keep the certificate in {0}: {1}")]
    Keep(PathBuf, io::Error),
}

/// Where the hub's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// These files, in PEM format: the certificate with those that vouch for it, and its key.
    Files {
        /// The certificates.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// A pair that vouches for itself; made and kept in this folder when it is missing there.
    Own(PathBuf),
}

/// Begins connections as the hub.
#[derive(Clone)]
pub struct Acceptor {
    identity: Identity,
    config: Arc<ServerConfig>,
    keyprint: String,
}

impl Acceptor {
    /// Reads the certificate, and makes one where the hub is to have its own.
    ///
    /// # Errors
    /// The files cannot be read, made or used; see [`TlsError`].
    pub fn open(identity: Identity) -> Result<Acceptor, TlsError> {
        let (certificate, key) = match &identity {
            Identity::Files { certificate, key } => (certificate.clone(), key.clone()),
            Identity::Own(folder) => own_pair(folder)?,
        };
        let (config, keyprint) = read_pair(&certificate, &key)?;
        Ok(Acceptor { identity, config: Arc::new(config), keyprint })
    }

    /// Reads the certificate again, for connections that begin from now on.
    ///
    /// # Errors
    /// As [`Acceptor::open`]; the one before stays in use then.
    pub fn reload(&mut self) -> Result<(), TlsError> {
        *self = Acceptor::open(self.identity.clone())?;
        Ok(())
    }

    /// What clients compare the certificate with, as it stands behind `kp=` in a hub's address.
    pub fn keyprint(&self) -> &str {
        &self.keyprint
    }

    pub(super) fn accept(&self, stream: TcpStream) -> Result<TlsStream, rustls::Error> {
        let mut tls = ServerConnection::new(Arc::clone(&self.config))?;
        tls.set_buffer_limit(Some(MOST_WAITING));
        Ok(TlsStream { tls, stream })
    }
}

fn read_pair(certificate: &Path, key: &Path) -> Result<(ServerConfig, String), TlsError> {
    let pem = |path: &Path, what, error| match error {
        rustls::pki_types::pem::Error::Io(error) => TlsError::Read(path.into(), error),
        error => TlsError::Pem(path.into(), what, error),
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| pem(certificate, "certificate", error))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| pem(key, "private key", error))?;
    let Some(first) = chain.first() else {
        return Err(pem(certificate, "certificate", rustls::pki_types::pem::Error::NoItemsFound));
    };
    let keyprint = format!("SHA256/{}", base32(&Sha256::digest(first)));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let unusable = |error| TlsError::Pair(certificate.into(), error);
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(unusable)?;
    Ok((config, keyprint))
}

/// The pair of a folder, which is made with a new pair if there is none.
fn own_pair(folder: &Path) -> Result<(PathBuf, PathBuf), TlsError> {
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    if certificate.exists() && key.exists() {
        return Ok((certificate, key));
    }
    let keep = |error| TlsError::Keep(folder.into(), error);
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(keep)?;
    let made = rcgen::generate_simple_self_signed(["vhpy-hub".to_string()])?;
    write(&key, made.signing_key.serialize_pem().as_bytes()).map_err(keep)?;
    write(&certificate, made.cert.pem().as_bytes()).map_err(keep)?;
    Ok((certificate, key))
}

/// Whole or not at all.
fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file: File = private_files::options().write(true).create(true).truncate(true).open(&part)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(part, path)
}

/// RFC 4648's, in capitals and without padding, as keyprints are written.
fn base32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut text, mut bits, mut count) = (String::new(), 0u32, 0);
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(LETTERS[(bits >> count) as usize & 31].into());
        }
    }
    if count > 0 {
        text.push(LETTERS[(bits << (5 - count)) as usize & 31].into());
    }
    text
}

/// A client's socket with TLS on it, that never waits.
pub struct TlsStream {
    tls: ServerConnection,
    stream: TcpStream,
}

impl TlsStream {
    /// The socket, to be registered.
    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Whether encrypted bytes wait for the socket.
    pub fn has_waiting(&self) -> bool {
        self.tls.wants_write()
    }

    /// Writes what waits, as far as the socket takes it. True when nothing is left.
    pub fn flush(&mut self) -> io::Result<bool> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.stream) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// What the client has said, decrypted.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A client that goes without saying so has gone all the same.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            if self.tls.read_tls(&mut self.stream)? == 0 {
                return Ok(0);
            }
            let read = self.tls.process_new_packets();
            // The handshake's answers, and what is wrong with the client's part of it.
            self.flush()?;
            read.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }

    /// Takes what the buffer of encrypted bytes has room for; what was taken before goes first.
    pub fn write_vectored(&mut self, data: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.flush()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.tls.writer().write_vectored(data)?;
        self.flush()?;
        // Before the handshake is over, plain bytes wait, and the buffer is full some time.
        if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }

    /// Says that nothing more comes.
    pub fn end(&mut self) -> io::Result<()> {
        self.tls.send_close_notify();
        self.flush()?;
        self.stream.shutdown(Shutdown::Write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::connection::{Connection, Link};
    use crate::hub::output::Broadcast;
    use nix::sys::socket::{setsockopt, sockopt};
    use rustls::ClientConnection;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_keyprint_is_written_as_others_do() {
        // RFC 4648, section 10.
        for (bytes, text) in [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foobar", "MZXW6YTBOI")] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn the_hub_s_own_pair_is_kept_and_is_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::Own(folder.path().join("tls"));
        let first = Acceptor::open(identity.clone()).unwrap();
        assert_eq!(Acceptor::open(identity).unwrap().keyprint(), first.keyprint());
        assert_eq!(first.keyprint().len(), "SHA256/".len() + 52);
        for file in ["certificate.pem", "key.pem"] {
            let metadata = fs::metadata(folder.path().join("tls").join(file)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{file}");
        }
    }

    #[test]
    fn a_bad_pair_keeps_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let own = |name: &str| own_pair(&folder.path().join(name)).unwrap();
        let ((certificate, key), (_, other)) = (own("one"), own("two"));
        let mut acceptor =
            Acceptor::open(Identity::Files { certificate: certificate.clone(), key: key.clone() }).unwrap();
        let before = acceptor.keyprint().to_string();
        fs::copy(&other, &key).unwrap();
        assert!(matches!(acceptor.reload(), Err(TlsError::Pair(..))));
        fs::write(&key, "nothing").unwrap();
        assert!(matches!(acceptor.reload(), Err(TlsError::Pem(_, "private key", _))));
        fs::remove_file(&certificate).unwrap();
        assert!(matches!(acceptor.reload(), Err(TlsError::Read(..))));
        assert_eq!(acceptor.keyprint(), before);
    }

    /// A connection of the hub's and its client, over a socket that takes very little.
    fn narrow() -> (Connection, ClientConnection, std::net::TcpStream) {
        let folder = tempfile::tempdir().unwrap();
        let acceptor = Acceptor::open(Identity::Own(folder.path().into())).unwrap();
        let certificate = CertificateDer::from_pem_file(folder.path().join("certificate.pem")).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = ClientConnection::new(Arc::new(config), "vhpy-hub".try_into().unwrap()).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        setsockopt(&listener, sockopt::RcvBuf, &4096).unwrap();
        let there = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (here, peer) = listener.accept().unwrap();
        setsockopt(&there, sockopt::SndBuf, &4096).unwrap();
        there.set_nonblocking(true).unwrap();
        here.set_nonblocking(true).unwrap();
        let link = Link::Tls(Box::new(acceptor.accept(TcpStream::from_std(there)).unwrap()));
        (Connection::new(link, peer, 0, Broadcast::default().keep(&[])), client, here)
    }

    #[test]
    fn what_waits_encrypted_is_not_forgotten() {
        let (mut connection, mut client, mut socket) = narrow();
        let broadcast = Broadcast::default();
        let text: Vec<u8> = (0..200_000u32).map(|number| (number % 251) as u8).collect();
        connection.queue.push(&broadcast, &[&text]);
        let (mut received, mut encrypted_alone, start) = (Vec::new(), false, std::time::Instant::now());
        while received.len() < text.len() {
            // What the hub does when a socket can be read or written.
            let read = connection.link.read(&mut [0; 100]);
            assert!(matches!(&read, Err(error) if error.kind() == io::ErrorKind::WouldBlock), "{read:?}");
            let is_done = connection.send(&broadcast).unwrap();
            assert_eq!(is_done, !connection.has_unsent(&broadcast));
            encrypted_alone |= connection.queue.len(&broadcast) == 0 && !is_done;
            while client.wants_write() {
                client.write_tls(&mut socket).unwrap();
            }
            match client.read_tls(&mut (&mut socket).take(1000)) {
                Ok(count) => assert!(count > 0),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            client.process_new_packets().unwrap();
            assert!(start.elapsed().as_secs() < 60, "waited for {} bytes", text.len() - received.len());
            let mut part = [0; 4096];
            while let Ok(count @ 1..) = client.reader().read(&mut part) {
                received.extend_from_slice(&part[..count]);
            }
        }
        assert!(received == text && encrypted_alone);
    }
}
