//! The type stub `vh.pyi`, from the tables: what editors, mypy and pyright know of `vh`; where
//! the file is installed is left to others.

use std::fmt::Write;

use crate::call::{CALLS, CONSTANTS, Call, CallSpec, Gives, Omitted, Order, Param, ParamKind, USER_FIELDS};

const HEAD: &str = r#"# Generated from the tables of plugin-abi; a test fails when it is edited by hand.
"""The hub, as its scripts see it."""

from collections.abc import Callable, Coroutine, Iterable, MutableMapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, Literal, SupportsIndex, TypeVar, overload

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")

__version__: str

myid: int
"""The script's number."""
name: str
"""The file's name without its extension."""
path: str
"""The script's file."""
botname: str
"""The nick of the hub's bot."""
opchatname: str
"""The nick of the operator chat."""
basedir: str
"""The hub's folder."""
config_name: str
"""The name of the hub's configuration."""
starttime: int
"""When the hub started, in seconds since the epoch."""

store: MutableMapping[str, Any]
"""A dict that outlives the process: values that can be sent, at most 4 MiB. Only assignment changes it."""

class NickList(list[str]):
    """A list of nicks that also splits like the protocol string it once was."""

    def split(self, sep: str | None = "$$", maxsplit: SupportsIndex = -1, /) -> list[str]: ...

@overload
def observer(function: _F, /) -> _F: ...
@overload
def observer() -> Callable[[_F], _F]:
    """Marks a hook for whose answer the hub does not wait."""

def when(
    *,
    startswith: str | Iterable[str] | None = None,
    endswith: str | Iterable[str] | None = None,
    contains: str | Iterable[str] | None = None,
    matches: str | Iterable[str] | None = None,
    min_class: int | None = None,
    ignore_case: bool = False,
    arg: str | None = None,
) -> Callable[[_F], _F]:
    """Says for which events a hook is; the hub keeps the others back."""

def command(name: str, *, help: str = "", min_class: int = 0) -> Callable[[_F], _F]:
    """Makes a function the answer to a command of users."""

def every(seconds: float, /) -> Callable[[_F], _F]:
    """Calls a function, or starts a coroutine, again and again, on a thread beside the hooks."""

def after(seconds: float, function: Callable[..., Any], /, *args: Any) -> None:
    """Calls a function, or starts a coroutine, once, on a thread beside the hooks."""

def spawn(coroutine: Coroutine[Any, Any, _T], /) -> Future[_T]:
    """Runs a coroutine on a loop beside the hooks; gives its concurrent.futures.Future."""

def answer(nick: str, text: str) -> bool:
    """Writes to a user where the command came from: in the main chat, seen by that user only, or by private message."""

def Encode(text: str, /) -> str:
    """Writes $, |, `, ~ and \\x05 as entities."""

def Decode(text: str, /) -> str:
    """The opposite of Encode."""

def encode(text: str, /) -> str:
    """The same as Encode."""

def decode(text: str, /) -> str:
    """The same as Decode."""

def CallDynamicFunction(name: str, /, *args: Any) -> Any:
    """Calls a function that the host registered for this script."""

def call(name: str, /, *args: Any) -> Any:
    """The same as CallDynamicFunction."""

def sql_quote(value: str | int | float | bytes | None, /) -> str:
    """A value as it is written in a query."""

def sql_error() -> str:
    """Why the last SQL() of this thread failed; empty when it did not."""

def SendToAll(message: str, /) -> bool:
    """Writes in the main chat."""

def SendToUser(nick: str, message: str, /) -> bool:
    """Writes in the main chat, seen by one user only."""

def GetUserNick(nick: str, /) -> str:
    """The nick: hooks hand over nicks."""

def GetConnNick(nick: str, /) -> str:
    """The nick: hooks hand over nicks."""

def GetChatMessage(message: str, /) -> str:
    """The message: hooks hand over texts."""
"#;

/// What may stand in a query.
const SQL_PARAMETERS: &str = "Sequence[str | int | float | bytes | None]";

/// The text of `vh.pyi`.
pub fn pyi() -> String {
    let mut out = String::from(HEAD);
    for spec in &CALLS {
        function(&mut out, spec);
        if let Gives::Nicks(prefix) = spec.gives {
            let raw = spec.name.replace("Get", "GetRaw");
            let _ =
                write!(out, "\ndef {raw}() -> str:\n    \"\"\"{} As `{prefix}a$$b$$`.\"\"\"\n", spec.summary);
        }
    }
    out.push('\n');
    for constant in CONSTANTS {
        let _ = writeln!(out, "{}: Final = {}", constant.name, constant.value);
    }
    out
}

fn function(out: &mut String, spec: &CallSpec) {
    if spec.gives == Gives::Users {
        let fields: Vec<String> = USER_FIELDS.iter().map(|field| format!("{:?}", field.name)).collect();
        let (fields, gives) = (fields.join(", "), spec.gives.python());
        let _ = write!(
            out,
            "\ndef {}(*fields: Literal[{fields}]) -> {gives}:\n    \"\"\"{}\"\"\"\n",
            spec.name, spec.summary
        );
        return;
    }
    let other = other_order(spec);
    out.push('\n');
    if let Some(other) = &other {
        out.push_str("@overload\n");
        signature(out, spec, other);
        out.push_str(" ...\n@overload\n");
    }
    let mut params: Vec<String> =
        spec.params.iter().map(|each| param(each, usual_default(spec, each))).collect();
    if spec.call == Call::SQL {
        // The worker writes them into the query.
        params.push(format!("parameters: {SQL_PARAMETERS} = ()"));
    }
    signature(out, spec, &params);
    let _ = write!(out, "\n    \"\"\"{}\"\"\"\n", spec.summary);
    if spec.call == Call::GetIPCity {
        // A stub cannot say "perhaps".
        out.truncate(out.len() - 4);
        out.push_str(" Check with hasattr(vh, 'GetIPCity').\"\"\"\n");
    }
}

fn signature(out: &mut String, spec: &CallSpec, params: &[String]) {
    let _ = write!(out, "def {}({}) -> {}:", spec.name, params.join(", "), spec.gives.python());
}

/// What is left out in the order of the signature; a first parameter that can be left out has
/// a signature of its own.
fn usual_default(spec: &CallSpec, param: &Param) -> Omitted {
    match spec.order {
        Order::FirstOptional { .. } if param.name == spec.params[0].name => Omitted::Required,
        _ => param.default,
    }
}

fn param(param: &Param, default: Omitted) -> String {
    let kind = match param.kind {
        ParamKind::TextOrNumber => "str | float",
        kind => kind.python(),
    };
    let name = param.name;
    match default {
        Omitted::Required => format!("{name}: {kind}"),
        Omitted::Empty => format!("{name}: {kind} | None = None"),
        Omitted::Int(number) => format!("{name}: {kind} = {number}"),
        Omitted::Text(text) => format!("{name}: {kind} = {text:?}"),
    }
}

/// The parameters of the second order in which a function takes them, if types can tell.
fn other_order(spec: &CallSpec) -> Option<Vec<String>> {
    let params = spec.params;
    match spec.order {
        Order::AsWritten | Order::OnlineDecides => None,
        Order::FirstOptional { full } => {
            let mut names: Vec<String> =
                params[1..full].iter().map(|each| param(each, Omitted::Required)).collect();
            // What follows can be told from the first ones by name only.
            names.push("*".into());
            names.push(param(&params[0], params[0].default));
            names.extend(params[full..].iter().map(|each| param(each, each.default)));
            Some(names)
        }
        Order::IntLast => {
            let mut names: Vec<String> =
                params.iter().rev().map(|each| param(each, Omitted::Required)).collect();
            names.push(format!("parameters: {SQL_PARAMETERS} = ()"));
            Some(names)
        }
        Order::SenderThird => {
            let sender = params.last()?;
            let first = params[..2].iter().chain([sender]);
            Some(first.map(|each| param(each, Omitted::Required)).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_tables_is_in_the_stub() {
        let stub = pyi();
        for spec in &CALLS {
            assert!(stub.contains(&format!("\ndef {}(", spec.name)), "{}", spec.name);
        }
        for constant in CONSTANTS {
            assert!(stub.contains(&format!("\n{}: Final = {}\n", constant.name, constant.value)));
        }
        assert!(stub.contains("def SQL(limit: int, query: str, parameters: "));
        assert!(stub.contains("def GetConfig(variable: str, *, conf: str = \"config\", default:"));
        assert!(stub.contains("def classmc(message: str, min_class: int, from_nick: str) -> bool"));
    }
}
