//! Functions of scripts that the host calls, with numbers and containers.

use std::ffi::{CStr, CString};
use std::time::Instant;

use crate::Value;

use super::events::beside;
use super::report::{Figure, Goal, Line, Unit};
use super::rig::Rig;
use super::{Context, Error};

/// Functions that give back what they get.
pub(super) const FUNCTIONS: &str = "\
def add(a, b):
    return a + b

def echo(value):
    return value
";

/// The small dict, for the baseline.
const DICT: &CStr = c"{\"nick\": \"alice\", \"class\": 3, \"share\": 123456789012, \"ratio\": 0.5}";

fn dict() -> Value<'static> {
    let entry = |key: &'static str, value| (Value::text(key), value);
    Value::Map(vec![
        entry("nick", Value::text("alice")),
        entry("class", Value::Int(3)),
        entry("share", Value::Int(123_456_789_012)),
        entry("ratio", Value::Float(0.5)),
    ])
}

/// Numbers, lists and a dict, there and back.
pub fn functions(context: &Context) -> Result<Vec<Line>, Error> {
    let paths = context.scratch.scripts("functions", FUNCTIONS, 1)?;
    let mut rig = Rig::with(context, &paths)?;
    let mut inside = context.baseline.as_ref().map(|baseline| baseline.load(&paths)).transpose()?;
    let mut lines = Vec::new();
    let mut measure =
        |name: &str, work: &str, goal: f64, theirs: &str, function: &str, args: &[Value<'_>]| {
            let given = args.first().cloned().unwrap_or_default().into_owned();
            let wanted = if function == "add" { Value::Int(3) } else { given };
            if !rig.function(function, args, |result| result == wanted)? {
                return Err(Error::Wrong(format!("{function} returns something else")));
            }
            let mut ours = |count| {
                let start = Instant::now();
                for _ in 0..count {
                    rig.function(function, args, |_| ())?;
                }
                Ok(start.elapsed())
            };
            let texts = strings(args);
            let inside = inside.as_mut().map(|inside| {
                |count| match theirs {
                    "add" => inside.add(count),
                    "list" => inside.echo_list(&texts, count),
                    _ => inside.echo_json(DICT, count),
                }
            });
            let (ours, inside) = beside(context, &mut ours, inside)?;
            let figure = Figure::new(format!("function.{name}"), work, Unit::Nanoseconds, ours);
            lines.push(figure.beside(inside).reach(Goal::value(goal)).into());
            Ok(())
        };
    let names: Vec<String> = (0..1000).map(|number| format!("user{number:04}")).collect();
    let list = |count: usize| [names.iter().take(count).map(String::as_str).collect::<Value<'_>>()];
    measure("add", "add(1, 2)", 650.0, "add", "add", &[Value::Int(1), Value::Int(2)])?;
    measure("list10", "a list of 10 strings, both ways", 1700.0, "list", "echo", &list(10))?;
    measure("list1000", "a list of 1,000 strings, both ways", 60_000.0, "list", "echo", &list(1000))?;
    measure("dict", "a dict of 4 entries, both ways", 2500.0, "dict", "echo", &[dict()])?;
    Ok(lines)
}

/// The texts of a list, as C has them.
fn strings(args: &[Value<'_>]) -> Vec<CString> {
    let list = args.first().and_then(Value::as_list).unwrap_or_default();
    list.iter().filter_map(|item| CString::new(item.as_text()?).ok()).collect()
}
