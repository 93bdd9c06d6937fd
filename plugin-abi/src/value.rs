//! Values that cross between hub and script; turning them into Python objects or C
//! arguments is left to those sides.

use std::borrow::Cow;
use std::fmt;

/// How deeply lists and maps may be nested.
pub const MAX_DEPTH: usize = 64;

/// How many values one frame may hold, counting each list, map and entry. It bounds the
/// memory that a frame of 64 MiB can claim once it is parsed.
pub const MAX_VALUES: usize = 4 << 20;

/// A value on its way between hub and script.
///
/// Text is bytes in the hub's encoding, which need not be valid in it: hubs carry what
/// clients send. Only the script's side decodes.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Value<'a> {
    /// `None`; NULL in the C ABI.
    #[default]
    Nil,
    /// `bool`.
    Bool(bool),
    /// `int`.
    Int(i64),
    /// `float`.
    Float(f64),
    /// `str`: bytes in the hub's encoding.
    Text(Cow<'a, [u8]>),
    /// `bytes`: not text in any encoding.
    Bytes(Cow<'a, [u8]>),
    /// `list`; tuples and sets arrive as lists too.
    List(Vec<Value<'a>>),
    /// `dict`, in the order of its entries.
    Map(Vec<(Value<'a>, Value<'a>)>),
    /// An object that stays in the script's process; the number is valid for that process.
    Handle(u64),
    /// An address in the hub's process, never followed by vhpy.
    Pointer(u64),
}

impl<'a> Value<'a> {
    /// Text that is borrowed.
    pub fn text(bytes: &'a (impl AsRef<[u8]> + ?Sized)) -> Value<'a> {
        Value::Text(Cow::Borrowed(bytes.as_ref()))
    }

    /// A name for error messages, as a Python programmer would say it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "None",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Text(_) => "str",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "list",
            Value::Map(_) => "dict",
            Value::Handle(_) => "object",
            Value::Pointer(_) => "pointer",
        }
    }

    /// The bytes of a text.
    pub fn as_text(&self) -> Option<&[u8]> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number of an int or bool.
    pub fn as_int(&self) -> Option<i64> {
        match *self {
            Value::Int(number) => Some(number),
            Value::Bool(yes) => Some(i64::from(yes)),
            _ => None,
        }
    }

    /// The number of a float, int or bool.
    pub fn as_float(&self) -> Option<f64> {
        match *self {
            Value::Float(number) => Some(number),
            _ => self.as_int().map(|number| number as f64),
        }
    }

    /// The entries of a list.
    pub fn as_list(&self) -> Option<&[Value<'a>]> {
        match self {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The value, owning everything in it.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Nil => Value::Nil,
            Value::Bool(yes) => Value::Bool(yes),
            Value::Int(number) => Value::Int(number),
            Value::Float(number) => Value::Float(number),
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
            Value::List(list) => Value::List(list.into_iter().map(Value::into_owned).collect()),
            Value::Map(map) => Value::Map(
                map.into_iter().map(|(key, value)| (key.into_owned(), value.into_owned())).collect(),
            ),
            Value::Handle(handle) => Value::Handle(handle),
            Value::Pointer(address) => Value::Pointer(address),
        }
    }
}

/// Readable, for logs: text as a quoted string, long values whole.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => f.write_str("None"),
            Value::Bool(yes) => f.write_str(if *yes { "True" } else { "False" }),
            Value::Int(number) => write!(f, "{number}"),
            Value::Float(number) => write!(f, "{number:?}"),
            Value::Text(text) => write!(f, "{:?}", String::from_utf8_lossy(text)),
            Value::Bytes(bytes) => write!(f, "b\"{}\"", bytes.escape_ascii()),
            Value::List(list) => {
                f.write_str("[")?;
                for (i, value) in list.iter().enumerate() {
                    write!(f, "{}{value}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Value::Map(map) => {
                f.write_str("{")?;
                for (i, (key, value)) in map.iter().enumerate() {
                    write!(f, "{}{key}: {value}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
            Value::Handle(handle) => write!(f, "<object {handle}>"),
            Value::Pointer(address) => write!(f, "<pointer {address:#x}>"),
        }
    }
}

macro_rules! from {
    ($($from:ty => |$x:ident| $to:expr;)*) => { $(
        impl<'a> From<$from> for Value<'a> {
            fn from($x: $from) -> Value<'a> { $to }
        }
    )* };
}

from! {
    () => |_x| Value::Nil;
    bool => |x| Value::Bool(x);
    i64 => |x| Value::Int(x);
    i32 => |x| Value::Int(x.into());
    u32 => |x| Value::Int(x.into());
    u16 => |x| Value::Int(x.into());
    f64 => |x| Value::Float(x);
    &'a str => |x| Value::Text(Cow::Borrowed(x.as_bytes()));
    &'a [u8] => |x| Value::Text(Cow::Borrowed(x));
    &'a Vec<u8> => |x| Value::Text(Cow::Borrowed(x));
    &'a String => |x| Value::Text(Cow::Borrowed(x.as_bytes()));
    String => |x| Value::Text(Cow::Owned(x.into_bytes()));
    Vec<u8> => |x| Value::Text(Cow::Owned(x));
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Value<'a> {
        value.map_or(Value::Nil, Into::into)
    }
}

impl<'a, T: Into<Value<'a>>> FromIterator<T> for Value<'a> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Value<'a> {
        Value::List(values.into_iter().map(Into::into).collect())
    }
}
