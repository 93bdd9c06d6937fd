//! Closures that one script calls by name: turns a script's values into a closure's
//! arguments and its result into a value.
//!
//! ```no_run
//! # use vhpy::{ScriptId, Supervisor};
//! # fn example(supervisor: &Supervisor, id: ScriptId) {
//! supervisor.register(id, "distance", |x1: f64, y1: f64, x2: f64, y2: f64| (x2 - x1).hypot(y2 - y1));
//! # }
//! ```
//!
//! and in the script `vh.call("distance", 0, 0, 3, 4)`, which gives 5.0.

use super::script::ScriptId;
use std::fmt::Display;
use std::rc::Rc;

use plugin_abi::Value;

use crate::supervisor::Supervisor;

/// A type that a closure can take.
pub trait FromValue: Sized {
    /// What a script must pass, as a Python programmer says it.
    const PYTHON: &'static str;

    /// The argument, if the value is of a fitting type.
    fn from_value(value: &Value<'_>) -> Option<Self>;

    /// What stands for an argument that is left out; `None` when it cannot be.
    fn omitted() -> Option<Self> {
        None
    }
}

/// A type that a closure can return. An error becomes a `RuntimeError` with its text.
pub trait IntoResult {
    /// The script's value, or the reason for its `RuntimeError`.
    fn into_result(self) -> Result<Value<'static>, String>;
}

/// A closure of up to eight arguments that a script can call. `Args` is the tuple of their
/// types.
pub trait Function<Args>: 'static {
    /// Calls the closure with a script's values.
    fn call(&self, args: &[Value<'_>]) -> Result<Value<'static>, String>;
}

impl Supervisor {
    /// Gives one script a function that it calls as `vh.call(name, …)`. It stays through the
    /// script's restarts and goes when the script is unloaded or another is registered by
    /// the same name. False when there is no such script.
    ///
    /// The closure runs on the thread that is inside the supervisor. For one that calls the
    /// supervisor or the host, see [`Supervisor::register_raw`].
    pub fn register<Args>(&self, id: ScriptId, name: &str, function: impl Function<Args>) -> bool {
        let named = name.to_owned();
        self.register_raw(
            id,
            name,
            Rc::new(move |_, _, args| function.call(args).map_err(|reason| format!("{named}: {reason}"))),
        )
    }
}

macro_rules! function {
    ($count:literal $($argument:ident $at:literal),*) => {
        impl<Closure, Output, $($argument),*> Function<($($argument,)*)> for Closure
        where
            Closure: Fn($($argument),*) -> Output + 'static,
            Output: IntoResult,
            $($argument: FromValue,)*
        {
            fn call(&self, args: &[Value<'_>]) -> Result<Value<'static>, String> {
                if args.len() > $count {
                    return Err(format!("takes {} arguments, got {}", $count, args.len()));
                }
                self($( argument::<$argument>(args, $at, $count)? ),*).into_result()
            }
        }
    };
}

function!(0);
function!(1 A 0);
function!(2 A 0, B 1);
function!(3 A 0, B 1, C 2);
function!(4 A 0, B 1, C 2, D 3);
function!(5 A 0, B 1, C 2, D 3, E 4);
function!(6 A 0, B 1, C 2, D 3, E 4, F 5);
function!(7 A 0, B 1, C 2, D 3, E 4, F 5, G 6);
function!(8 A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

fn argument<T: FromValue>(args: &[Value<'_>], at: usize, count: usize) -> Result<T, String> {
    match args.get(at) {
        Some(value) => T::from_value(value)
            .ok_or_else(|| format!("argument {} must be {}, not {}", at + 1, T::PYTHON, value.type_name())),
        None => T::omitted().ok_or_else(|| format!("takes {count} arguments, got {}", args.len())),
    }
}

macro_rules! from_value {
    ($($type:ty, $python:literal, |$value:ident| $from:expr;)*) => { $(
        impl FromValue for $type {
            const PYTHON: &'static str = $python;

            fn from_value($value: &Value<'_>) -> Option<Self> {
                $from
            }
        }
    )* };
}

from_value! {
    i64, "int", |value| value.as_int();
    i32, "int of 32 bits", |value| value.as_int()?.try_into().ok();
    f64, "float", |value| value.as_float();
    bool, "bool", |value| value.as_int().map(|number| number != 0);
    String, "str", |value| value.as_text().map(|text| String::from_utf8_lossy(text).into_owned());
    Value<'static>, "any value", |value| Some(value.clone().into_owned());
}

/// The bytes of a `str` in the hub's encoding, or of `bytes`.
impl FromValue for Vec<u8> {
    const PYTHON: &'static str = "str or bytes";

    fn from_value(value: &Value<'_>) -> Option<Vec<u8>> {
        match value {
            Value::Text(bytes) | Value::Bytes(bytes) => Some(bytes.to_vec()),
            _ => None,
        }
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    const PYTHON: &'static str = "list of the right items";

    fn from_value(value: &Value<'_>) -> Option<Vec<T>> {
        value.as_list()?.iter().map(T::from_value).collect()
    }
}

/// `None`, or left out at the end.
impl<T: FromValue> FromValue for Option<T> {
    const PYTHON: &'static str = T::PYTHON;

    fn from_value(value: &Value<'_>) -> Option<Option<T>> {
        match value {
            Value::Nil => Some(None),
            value => T::from_value(value).map(Some),
        }
    }

    fn omitted() -> Option<Option<T>> {
        Some(None)
    }
}

macro_rules! into_result {
    ($($type:ty),*) => { $(
        impl IntoResult for $type {
            fn into_result(self) -> Result<Value<'static>, String> {
                Ok(self.into())
            }
        }
    )* };
}

into_result!((), i64, i32, f64, bool, String, &'static str, Vec<u8>, Value<'static>);

impl<T: IntoResult> IntoResult for Vec<T> {
    fn into_result(self) -> Result<Value<'static>, String> {
        self.into_iter().map(T::into_result).collect::<Result<_, _>>().map(Value::List)
    }
}

impl<T: IntoResult> IntoResult for Option<T> {
    fn into_result(self) -> Result<Value<'static>, String> {
        self.map_or(Ok(Value::Nil), T::into_result)
    }
}

impl<T: IntoResult, E: Display> IntoResult for Result<T, E> {
    fn into_result(self) -> Result<Value<'static>, String> {
        self.map_err(|error| error.to_string())?.into_result()
    }
}

macro_rules! tuple {
    ($($item:ident),+) => {
        /// A list in the script.
        impl<$($item: IntoResult),+> IntoResult for ($($item,)+) {
            #[allow(non_snake_case, reason = "the types' names serve the values too")]
            fn into_result(self) -> Result<Value<'static>, String> {
                let ($($item,)+) = self;
                Ok(Value::List(vec![$($item.into_result()?),+]))
            }
        }
    };
}

tuple!(A);
tuple!(A, B);
tuple!(A, B, C);
tuple!(A, B, C, D);

#[cfg(test)]
mod tests {
    use super::*;

    fn call<Args>(function: impl Function<Args>, args: &[Value<'_>]) -> Result<Value<'static>, String> {
        function.call(args)
    }

    #[test]
    fn closures_take_what_scripts_pass() {
        let distance = |x1: f64, y1: f64, x2: f64, y2: f64| (x2 - x1).hypot(y2 - y1);
        let args = [0, 0, 3, 4].map(Value::Int);
        assert_eq!(call(distance, &args), Ok(Value::Float(5.0)));
        assert_eq!(call(|| "none", &[]), Ok(Value::from("none")));
        let sum = |a: i64,
                   b: i32,
                   c: bool,
                   d: Option<i64>,
                   e: Vec<i64>,
                   f: String,
                   g: Vec<u8>,
                   h: Value<'static>| { format!("{a} {b} {c} {d:?} {e:?} {f} {g:?} {h}") };
        let args = [
            Value::Int(1),
            Value::Int(2),
            Value::Bool(true),
            Value::Nil,
            Value::List(vec![Value::Int(3)]),
            Value::from("f"),
            Value::Bytes(b"g"[..].into()),
            Value::Float(8.0),
        ];
        assert_eq!(call(sum, &args), Ok(Value::from("1 2 true None [3] f [103] 8.0")));
    }

    #[test]
    fn results_are_values() {
        assert_eq!(call(|| (), &[]), Ok(Value::Nil));
        assert_eq!(call(|| (1i64, "a"), &[]), Ok(Value::List(vec![Value::Int(1), Value::from("a")])));
        assert_eq!(call(|| vec![Some(1.5), None], &[]), Ok(Value::List(vec![Value::Float(1.5), Value::Nil])));
        assert_eq!(call(|| Err::<i64, _>("no such user"), &[]), Err("no such user".to_owned()));
        assert_eq!(call(|| b"raw".to_vec(), &[]), Ok(Value::Text(b"raw"[..].into())));
    }

    #[test]
    fn wrong_arguments_are_named() {
        let one = |number: i32| number;
        assert_eq!(call(one, &[]), Err("takes 1 arguments, got 0".to_owned()));
        assert_eq!(call(one, &[Value::Int(1), Value::Int(2)]), Err("takes 1 arguments, got 2".to_owned()));
        assert_eq!(
            call(one, &[Value::from("x")]),
            Err("argument 1 must be int of 32 bits, not str".to_owned())
        );
        assert!(call(one, &[Value::Int(1 << 40)]).is_err());
        assert_eq!(call(|number: Option<i64>| number, &[]), Ok(Value::Nil));
    }
}
