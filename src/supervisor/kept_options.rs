//! Options of single scripts that operators chose, kept on disk so that they hold after the
//! next start too; what an option is, is in [`option`](super::option).

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use plugin_abi::Hook;

use super::Supervisor;
use super::config::Config;
use super::option::{self, OptionError, OptionSpec};
use super::script::{Overrides, Script, ScriptId};

/// The file's name in the folder of the stores.
const FILE: &str = "options";

/// Why an option of one script was not set. The text tells an operator what to do.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// No script has this id.
    #[error("there is no script {0}")]
    NoScript(ScriptId),
    /// The option or its value.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// It holds, but only until the hub ends.
    #[error("it holds until the hub ends, but could not be kept in {file}: {error}")]
    NotKept {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// One chosen value.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    /// Below the hub's folder of scripts without that folder, so that both can be moved.
    script: String,
    hook: Option<Hook>,
    option: &'static str,
    value: String,
}

impl Row {
    /// `script <tab> hook or - <tab> option <tab> value`. `None` for what is none.
    fn read(line: &str) -> Option<Row> {
        let mut parts = line.splitn(4, '\t');
        let (script, hook, name, value) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hook = match hook {
            "-" => None,
            name => Some(Hook::from_name(name)?),
        };
        let option = option::find(name).ok()?.name;
        Some(Row { script: script.into(), hook, option, value: value.into() })
    }

    fn write(&self) -> String {
        let hook = self.hook.map_or("-", |hook| hook.name());
        format!("{}\t{hook}\t{}\t{}\n", self.script, self.option, self.value)
    }
}

fn read(file: &Path) -> Vec<Row> {
    // Not there is empty; what cannot be read is said when it is written.
    fs::read_to_string(file).unwrap_or_default().lines().filter_map(Row::read).collect()
}

/// All rows in a file of their own, then in the place of the old ones.
fn write(file: &Path, rows: &[Row]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = file.with_extension("new");
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    out.write_all(rows.iter().map(Row::write).collect::<String>().as_bytes())?;
    out.sync_all()?;
    fs::rename(new, file)
}

/// How the file calls a script.
fn key(config: &Config, path: &Path) -> String {
    let folder = config.scripts_dir.as_ref().and_then(|folder| folder.canonicalize().ok());
    let below = folder.and_then(|folder| path.strip_prefix(folder).ok().map(Path::to_path_buf));
    // A tab or a line's end would break the file.
    below.as_deref().unwrap_or(path).to_string_lossy().replace(['\t', '\n'], "?")
}

/// Adds one value to a script's own.
fn apply(row: &Row, config: &Config, own: &mut Overrides) -> Result<(), OptionError> {
    let option = option::find(row.option)?;
    let Some(hook) = row.hook else { return option.set_for_script(config, own, row.value.as_bytes()) };
    if option.name != "hook_timeout" {
        return Err(OptionError::NotForHooks(option.name));
    }
    let mut effective = config.clone();
    option.set(&mut effective, row.value.as_bytes())?;
    own.per_hook.insert(hook, effective.hook_timeout);
    Ok(())
}

impl Supervisor {
    /// Gives a script a value of its own for an option, or for one hook (`hook_timeout` only).
    /// `None` takes it back: the hub's value holds again. Both are kept in the folder of the
    /// stores, if there is one. Limits hold from the script's next process on.
    ///
    /// # Errors
    /// See [`SetError`]; but for `NotKept` nothing has changed then.
    pub fn set_script_option(
        &self,
        id: ScriptId,
        hook: Option<Hook>,
        name: &str,
        value: Option<&str>,
    ) -> Result<(), SetError> {
        let script = self.registry.get(id).ok_or(SetError::NoScript(id))?;
        let option = option::find(name)?;
        let config = self.config();
        let file = config.store_dir.as_ref().map(|folder| folder.join(FILE));
        let mut rows = file.as_deref().map(read).unwrap_or_default();
        let script_key = key(&config, &script.path);
        rows.retain(|row| (row.script.as_str(), row.hook, row.option) != (&script_key, hook, option.name));
        let new = value.map(|value| Row {
            script: script_key.clone(),
            hook,
            option: option.name,
            value: value.trim().to_string(),
        });
        let mut own = script.overrides.borrow().clone();
        match &new {
            Some(row) => apply(row, &config, &mut own)?,
            None => take_back(option, hook, &mut own),
        }
        rows.extend(new);
        script.overrides.replace(own);
        match file {
            Some(file) => write(&file, &rows).map_err(|error| SetError::NotKept { file, error }),
            None => Ok(()),
        }
    }

    /// What operators have chosen for a script in earlier days.
    pub(super) fn recall_options(&self, script: &Rc<Script>) {
        let config = self.config();
        let Some(folder) = &config.store_dir else { return };
        let script_key = key(&config, &script.path);
        let mut own = script.overrides.borrow_mut();
        for row in read(&folder.join(FILE)).iter().filter(|row| row.script == script_key) {
            if let Err(error) = apply(row, &config, &mut own) {
                log::warn!("script {}: a kept option is left out: {error}", script.name);
            }
        }
    }
}

/// The hub's value holds again.
fn take_back(option: &OptionSpec, hook: Option<Hook>, own: &mut Overrides) {
    match hook {
        Some(hook) => drop(own.per_hook.remove(&hook)),
        None => option.take_back(own),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_and_what_is_none_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/options");
        assert_eq!(read(&file), []);
        let rows = [
            Row { script: "a.py".into(), hook: None, option: "limit_memory", value: String::new() },
            Row {
                script: "b c.py".into(),
                hook: Some(Hook::OnTimer),
                option: "hook_timeout",
                value: "5".into(),
            },
        ];
        write(&file, &rows).unwrap();
        assert_eq!(read(&file), rows);
        fs::write(&file, "a.py\t-\tcolour\tred\nb.py\tOnNothing\thook_timeout\t1\nc.py\t-\tnice\t3\nhalf")
            .unwrap();
        assert_eq!(read(&file).len(), 1);
    }
}
