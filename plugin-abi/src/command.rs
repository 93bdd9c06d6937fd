//! Commands that a script answers: what a hub must know of them to list them, to find the one
//! that a user gave, and to offer it in a menu.

use crate::value::Value;

/// How many commands one script may have.
pub const MAX_COMMANDS: usize = 256;
/// How long a name may be, in bytes.
pub const MAX_NAME: usize = 32;
/// How long a help text and a usage may be, in bytes.
pub const MAX_HELP: usize = 512;

/// The menu of a client that is its hub's, as opposed to those of users, searches and file lists.
pub const HUB_MENU: &str = "1";
/// How many characters of a command's help are in its entry.
const MOST_HELP: usize = 64;

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its name, without a prefix: a letter, then letters, digits, `_` and `-`. Lower case.
    pub name: String,
    /// What stands after the name, for a usage: `[COUNT]`.
    pub usage: String,
    /// One line on what it does.
    pub help: String,
    /// From which class on it may be given.
    pub min_class: i64,
}

/// What is wrong with commands.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// What came are no commands.
    #[error("no list of commands")]
    Malformed,
    /// Too many.
    #[error("a script has at most {MAX_COMMANDS} commands")]
    TooMany,
    /// A name that nobody could type.
    #[error(
        "a command's name is a letter of a to z, then letters, digits, _ and -, {MAX_NAME} characters at most, \
         and not {0:?}"
    )]
    Name(String),
    /// A text for one line that is none.
    #[error("the help of a command is one line of {MAX_HELP} bytes at most")]
    Help,
}

impl Command {
    /// Checks what is the script's choice.
    pub fn check(&self) -> Result<(), CommandError> {
        let is_name = self.name.len() <= MAX_NAME
            && self.name.starts_with(|first: char| first.is_ascii_lowercase())
            && self.name.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-')
            });
        if !is_name {
            return Err(CommandError::Name(self.name.chars().take(MAX_NAME).collect()));
        }
        let is_line = |text: &str| text.len() <= MAX_HELP && !text.contains(|c: char| c.is_control());
        if is_line(&self.help) && is_line(&self.usage) { Ok(()) } else { Err(CommandError::Help) }
    }

    /// A message that makes an entry of the hub's menu, which says the command in the main chat.
    pub fn menu_entry(&self) -> String {
        let Command { name, usage, help, .. } = self;
        let short = help.chars().take(MOST_HELP).collect::<String>();
        let title = if help.is_empty() { name.clone() } else { format!("{name}: {}", escape(&short)) };
        let prompt = prompt(usage);
        format!("$UserCommand 1 {HUB_MENU} Scripts\\{title}$<%[mynick]> +{name}{prompt}&#124;|")
    }

    /// As it travels.
    pub fn to_value(&self) -> Value<'static> {
        let text = |text: &str| Value::from(text.to_owned());
        Value::List(vec![text(&self.name), text(&self.usage), text(&self.help), Value::Int(self.min_class)])
    }

    fn from_value(value: &Value<'_>) -> Result<Command, CommandError> {
        let Value::List(parts) = value else { return Err(CommandError::Malformed) };
        let [name, usage, help, Value::Int(min_class)] = &**parts else {
            return Err(CommandError::Malformed);
        };
        let text = |value: &Value<'_>| {
            let bytes = value.as_text().ok_or(CommandError::Malformed)?;
            Ok(std::str::from_utf8(bytes).map_err(|_| CommandError::Malformed)?.to_owned())
        };
        let command =
            Command { name: text(name)?, usage: text(usage)?, help: text(help)?, min_class: *min_class };
        command.check().map(|()| command)
    }
}

/// Text in an entry.
fn escape(text: &str) -> String {
    // A backslash would begin a menu of its own.
    text.replace('&', "&amp;").replace('$', "&#36;").replace('|', "&#124;").replace('\\', "/")
}

/// What the client asks its user for, if the command takes anything.
fn prompt(usage: &str) -> String {
    let letters = |c: char| if c.is_alphanumeric() || c == '_' || c == '-' { c } else { ' ' };
    let words = usage.chars().map(letters).collect::<String>();
    match words.split_whitespace().collect::<Vec<_>>().join(" ") {
        words if words.is_empty() => words,
        words => format!(" %[line:{words}]"),
    }
}

/// Reads what a worker sent, and believes nothing of it.
pub fn read(value: &Value<'_>) -> Result<Vec<Command>, CommandError> {
    match value {
        Value::Nil => Ok(Vec::new()),
        Value::List(list) if list.len() > MAX_COMMANDS => Err(CommandError::TooMany),
        Value::List(list) => list.iter().map(Command::from_value).collect(),
        _ => Err(CommandError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_command_breaks_its_entry() {
        let entry = |usage: &str, help: &str| {
            let (name, usage, help) = ("dice".into(), usage.into(), help.into());
            Command { name, usage, help, min_class: 0 }.menu_entry()
        };
        assert_eq!(entry("", ""), "$UserCommand 1 1 Scripts\\dice$<%[mynick]> +dice&#124;|");
        assert_eq!(
            entry("<to> [count] %[x]|", "costs 5$|a\\b & more"),
            "$UserCommand 1 1 Scripts\\dice: costs 5&#36;&#124;a/b &amp; more$<%[mynick]> +dice \
             %[line:to count x]&#124;|"
        );
    }
}
