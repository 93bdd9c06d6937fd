//! `vhpy new` and `vhpy stub`: files for those who begin a script, and for their editors.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;

const SCRIPT: &str = include_str!("new/script.py");
const TEST: &str = include_str!("new/test.py");

/// What stands for the module where it does not exist.
const NO_MODULE: &str = "\
\"\"\"For editors and type checkers. The module vh exists in the scripts of a hub alone.\"\"\"

raise ImportError(\"the module vh exists in the scripts of a hub alone: vhpy try, or pytest with the fixture hub\")
";

#[derive(Args)]
pub(super) struct NewArgs {
    /// The script's name, without .py.
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,

    /// Where the files are written.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

#[derive(Args)]
pub(super) struct StubArgs {
    /// Write the folder vh there, which mypy, pyright and editors find beside the scripts.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// A name that can be a module's and a command's.
fn name(text: &str) -> Result<String, String> {
    let text = text.strip_suffix(".py").unwrap_or(text);
    let begins = text.starts_with(|sign: char| sign.is_ascii_lowercase());
    if !begins || !text.chars().all(|sign| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '_')
    {
        return Err("a name has small letters, digits and _, and begins with a letter".into());
    }
    if text == "vh" || text == "conftest" || text.starts_with("test_") {
        return Err("this name means something else to Python, pytest or the hub".into());
    }
    Ok(text.into())
}

pub(super) fn new(args: &NewArgs) -> Result<i64, String> {
    let NewArgs { name, dir } = args;
    let files = [(format!("{name}.py"), SCRIPT), (format!("test_{name}.py"), TEST)];
    // Both or none.
    if let Some((file, _)) = files.iter().find(|(file, _)| dir.join(file).exists()) {
        return Err(format!("{} is there already; nothing was written", dir.join(file).display()));
    }
    for (file, template) in &files {
        write_new(&dir.join(file), &template.replace("NAME", name))?;
    }
    let shown =
        |file: &str| if dir == Path::new(".") { file.into() } else { dir.join(file).display().to_string() };
    let [script, test] = [format!("{name}.py"), format!("test_{name}.py")].map(|file| shown(&file));
    super::print(&format!(
        "{script} and {test} are written. Now:\n  \
         vhpy try {script}\n  \
         vhpy check {script}\n  \
         pytest {test}\n"
    ))?;
    Ok(0)
}

pub(super) fn stub(args: &StubArgs) -> Result<i64, String> {
    let stub = plugin_abi::stub::pyi();
    let Some(dir) = &args.dir else {
        super::print(&stub)?;
        return Ok(0);
    };
    let folder = dir.join("vh");
    let cannot = |error: std::io::Error| format!("{}: {error}", folder.display());
    if !dir.is_dir() {
        return Err(format!("there is no folder {}", dir.display()));
    }
    std::fs::create_dir_all(&folder).map_err(cannot)?;
    std::fs::write(folder.join("__init__.pyi"), stub).map_err(cannot)?;
    std::fs::write(folder.join("__init__.py"), NO_MODULE).map_err(cannot)?;
    super::print(&format!(
        "The folder {} is written; mypy, pyright and editors find it beside the scripts, which have the real one.\n",
        folder.display()
    ))?;
    Ok(0)
}

fn write_new(path: &Path, text: &str) -> Result<(), String> {
    let cannot = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => format!("{} is there already", path.display()),
        _ => format!("{}: {error}", path.display()),
    };
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(cannot)?;
    file.write_all(text.as_bytes()).map_err(cannot)
}
