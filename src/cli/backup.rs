//! `vhpy backup` and `vhpy restore`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use vhpy::hub::{self, Contents};

use super::{absolute, data_folder};

pub(super) const BACKUP_HELP: &str = "Examples:\n  \
    vhpy backup hub-$(date +%F).tar          a backup of the default data folder\n  \
    vhpy backup --data /srv/hub /backup/hub.tar\n\n\
    Exit code: 0 when it is written, 1 when not (an older backup is still there then), \
    2 for a wrong command line.";

pub(super) const RESTORE_HELP: &str = "Examples:\n  \
    vhpy restore --check hub.tar             whether it is whole\n  \
    vhpy restore hub.tar                     with the hub stopped\n\n\
    Exit code: 0 when it is restored, 1 when not, 2 for a wrong command line.";

#[derive(Args)]
pub(super) struct BackupArgs {
    /// Where to write it; a backup that is there is replaced at the end.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The data folder of the hub
    /// [default: vhpy in the XDG state folder, such as ~/.local/state/vhpy].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// The folder of the scripts, where the hub was started with another one
    /// [default: scripts in the data folder].
    #[arg(long, value_name = "DIR", value_parser = super::folder)]
    scripts: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct RestoreArgs {
    /// The backup.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The data folder of the hub; it is made if it is missing
    /// [default: vhpy in the XDG state folder, such as ~/.local/state/vhpy].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Only say whether the backup is whole.
    #[arg(long)]
    check: bool,
}

pub(super) fn backup(args: &BackupArgs) -> Result<i64, String> {
    let data = data_folder(args.data.as_deref())?;
    let scripts = args.scripts.as_deref().map(absolute).transpose()?;
    let mut shown = Shown::default();
    let contents = hub::backup(&data, scripts.as_deref(), &args.file, |bytes| shown.so_far(bytes))
        .map_err(|error| error.to_string())?;
    shown.done();
    println!("{}: {} of {}", args.file.display(), told(contents), data.display());
    Ok(0)
}

pub(super) fn restore(args: &RestoreArgs) -> Result<i64, String> {
    if args.check {
        let contents = hub::check_backup(&args.file).map_err(|error| error.to_string())?;
        println!("{} is whole: {}", args.file.display(), told(contents));
        return Ok(0);
    }
    let data = data_folder(args.data.as_deref())?;
    let restored = hub::restore(&data, &args.file).map_err(|error| error.to_string())?;
    println!("{}: {} from {}", data.display(), told(restored.contents), args.file.display());
    if let Some(before) = restored.before {
        println!("What was there before is in {}; remove it when all is well.", before.display());
    }
    Ok(0)
}

fn told(contents: Contents) -> String {
    let files = if contents.files == 1 { "file" } else { "files" };
    format!("{} {files}, {}", contents.files, size(contents.bytes))
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

/// Progress, where somebody looks and it takes longer than a second.
struct Shown {
    start: Instant,
    next: Duration,
}

impl Default for Shown {
    fn default() -> Shown {
        Shown { start: Instant::now(), next: Duration::from_secs(1) }
    }
}

impl Shown {
    fn so_far(&mut self, bytes: u64) {
        if self.start.elapsed() >= self.next && std::io::stderr().is_terminal() {
            self.next = self.start.elapsed() + Duration::from_millis(200);
            eprint!("\r{} \x1b[K", size(bytes));
        }
    }

    fn done(&self) {
        if self.next > Duration::from_secs(1) {
            eprint!("\r\x1b[K");
        }
    }
}
