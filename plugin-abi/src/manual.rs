//! The tables as people read them, in Markdown; where the texts are kept, and that they do not
//! drift, is left to a test.

use std::fmt::Write;

use crate::call::{CALLS, CONSTANTS, CallSpec, Gives, Omitted, Param, ParamKind};
use crate::hook::{ArgKind, HOOKS, HookSpec, OnBlock, Replaces};
use crate::privacy::Privacy;

/// The 41 hooks as a Markdown table.
pub fn hooks_table() -> String {
    let mut table = String::from("| # | hook | when | what 0 does |\n| ---: | --- | --- | --- |\n");
    for spec in &HOOKS {
        let effect = match spec.on_block {
            OnBlock::Notice => "–",
            OnBlock::Blocks(effect) => effect,
        };
        let replace = if spec.replaces == Replaces::Never { "" } else { "; can be replaced" };
        let number = spec.hook as usize;
        let _ = writeln!(
            table,
            "| {number} | `{}` | {} | {effect}{replace} |",
            hook_signature(spec),
            spec.summary
        );
    }
    table
}

/// `OnCloseConnEx(ip, reason: int, nick)`: what has no type is text.
fn hook_signature(spec: &HookSpec) -> String {
    let args = spec.args.iter().map(|arg| match arg.kind {
        ArgKind::Text => arg.name.to_string(),
        kind => format!("{}: {}", arg.name, kind.python()),
    });
    format!("{}({})", spec.name, args.collect::<Vec<_>>().join(", "))
}

/// The functions that the hub answers as a Markdown table.
pub fn functions_table() -> String {
    let mut table = String::from("| # | function | gives | what it does |\n| ---: | --- | --- | --- |\n");
    for spec in &CALLS {
        let number = spec.call as usize;
        let params = match spec.gives {
            Gives::Users => String::from("*fields"),
            _ => spec.params.iter().map(manual_param).collect::<Vec<_>>().join(", "),
        };
        let gives = spec.gives.python().replace('|', "or");
        let _ = write!(table, "| {number} | `{}({params})` | {gives} | {}", spec.name, spec.summary);
        for param in spec.params.iter().filter(|param| !param.aliases.is_empty()) {
            let _ = write!(table, " `{}` is also `{}`.", param.name, param.aliases.join("`, `"));
        }
        table.push_str(" |\n");
        if let Some((name, prefix)) = raw_form(spec) {
            let _ = writeln!(table, "| {number} | `{name}()` | str | The same, as `{prefix}a$$b$$`. |");
        }
    }
    table
}

/// `GetRawNickList` and the like.
fn raw_form(spec: &CallSpec) -> Option<(String, &'static str)> {
    match spec.gives {
        Gives::Nicks(prefix) => Some((spec.name.replacen("Get", "GetRaw", 1), prefix)),
        _ => None,
    }
}

/// A parameter as the manual shows it: what has no type is text.
fn manual_param(param: &Param) -> String {
    let name = param.name;
    match (param.kind, param.default) {
        (ParamKind::Int, Omitted::Required) => format!("{name}: int"),
        (ParamKind::Int, Omitted::Int(number)) => format!("{name}: int = {number}"),
        (ParamKind::Int, _) => format!("{name}: int = 0"),
        (_, Omitted::Required) => name.to_string(),
        (_, Omitted::Text(text)) => format!("{name}='{text}'"),
        (_, _) => format!("{name}=None"),
    }
}

/// The constants as a Markdown table, a row for each prefix.
pub fn constants_table() -> String {
    const FAMILIES: [(&str, &str); 4] = [
        ("eCR_", "why a connection is closed"),
        ("eBOT_", "what is wrong with a robot's nick"),
        ("eBF_", "what a ban is for"),
        ("eIT_", "the type of a configuration value"),
    ];
    let mut table = String::from("| constants | what for |\n| --- | --- |\n");
    for (prefix, what) in FAMILIES {
        let family = CONSTANTS.iter().filter(|constant| constant.name.starts_with(prefix));
        let names = family.map(|constant| format!("`{}` {}", constant.name, constant.value));
        let _ = writeln!(table, "| {} | {what} |", names.collect::<Vec<_>>().join(", "));
    }
    table
}

/// What recordings do not show of hooks and calls, as a Markdown table.
pub fn privacy_table() -> String {
    let mut table = String::from("| of | argument | is shown as |\n| --- | --- | --- |\n");
    let mut row = |of: &str, what: &str, privacy: Privacy| {
        if let Some(shown) = privacy.shown() {
            let _ = writeln!(table, "| `{of}` | {what} | {shown} |");
        }
    };
    for spec in &HOOKS {
        spec.args.iter().for_each(|arg| row(spec.name, &format!("`{}`", arg.name), arg.privacy));
    }
    for spec in &CALLS {
        spec.params.iter().for_each(|param| row(spec.name, &format!("`{}`", param.name), param.privacy));
        row(spec.name, "the answer", spec.privacy);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Call;

    #[test]
    fn signatures_read_like_python() {
        let param = |call: Call| call.spec().params.iter().map(manual_param).collect::<Vec<_>>().join(", ");
        assert_eq!(param(Call::CloseConnection), "nick, reason: int = 0, delay: int = 0");
        assert_eq!(param(Call::GetConfig), "conf='config', variable, default=None");
    }

    #[test]
    fn no_cell_breaks_a_table() {
        for table in [hooks_table(), functions_table(), constants_table(), privacy_table()] {
            let columns = |line: &str| line.matches('|').count();
            let first = table.lines().next().map(columns);
            assert!(table.lines().all(|line| Some(columns(line)) == first), "{table}");
        }
    }

    #[test]
    fn the_table_has_a_row_for_each_that_is_not_shown() {
        let table = privacy_table();
        assert!(table.contains("| `OnParsedMsgMyPass` | `password` | `[secret]` |"), "{table}");
        assert!(table.contains("| `GetUserIP` | the answer | a made-up address |"), "{table}");
        assert!(!table.contains("`OnUserLogin`"), "{table}");
    }
}
