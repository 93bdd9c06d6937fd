//! What may stand where an argument of a call goes: most end up in a line of the hub's protocol, in
//! which some characters separate and end. Every host gets arguments that fit; what a host does with
//! them, and who may do it, is its own matter.

use std::borrow::Cow;

use crate::value::Value;

/// What may stand in one parameter's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// Anything: it is looked up or stored, or is protocol data by its own right.
    Free,
    /// What somebody says, to the end of a message. One `|` at its end, which many scripts put
    /// there, is taken for that end; others become `&#124;`, which clients show as `|`.
    Speech,
    /// A name in front of what is said: `$`, `|`, `<`, `>` and line ends become `_`.
    Name,
    /// A part of a message in which `$` separates: `$` and `|` become `_`.
    Field,
    /// A number of bytes, in decimal digits, or empty. Anything else fails.
    Size,
    /// A number, clamped to what hosts in C can hold in an `int`.
    Number,
    /// Bits of the status byte: 0 to 255. Anything else fails.
    Bits,
}

/// An argument that cannot be made to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its argument '{parameter}' must be {wanted}")]
pub struct Unfit {
    /// The parameter's name.
    pub parameter: &'static str,
    /// What it must be.
    pub wanted: &'static str,
}

impl Grammar {
    /// What is to stand in a value's place, `None` for the value itself; or what it must be.
    pub(crate) fn better(self, value: &Value<'_>) -> Result<Option<Value<'static>>, &'static str> {
        Ok(match (self, value) {
            (Grammar::Speech, Value::Text(text)) => speech(text).map(|text| Value::Text(Cow::Owned(text))),
            (Grammar::Name, Value::Text(text)) => {
                replaced(text, |byte| matches!(byte, b'$' | b'|' | b'<' | b'>' | b'\r' | b'\n' | 0))
            }
            (Grammar::Field, Value::Text(text)) => replaced(text, |byte| matches!(byte, b'$' | b'|' | 0)),
            (Grammar::Size, Value::Text(text)) => {
                let number = std::str::from_utf8(text).ok().map(str::parse::<u64>);
                let digits = text.iter().all(u8::is_ascii_digit);
                if !digits || (!text.is_empty() && !matches!(number, Some(Ok(_)))) {
                    return Err("a number of bytes, in digits");
                }
                None
            }
            (Grammar::Number, Value::Int(number)) => {
                let clamped = (*number).clamp(i32::MIN.into(), i32::MAX.into());
                (clamped != *number).then_some(Value::Int(clamped))
            }
            (Grammar::Bits, Value::Int(number)) if !(0..=255).contains(number) => {
                return Err("a number from 0 to 255");
            }
            _ => None,
        })
    }
}

fn speech(text: &[u8]) -> Option<Vec<u8>> {
    if !text.iter().any(|byte| matches!(byte, b'|' | 0)) {
        return None;
    }
    let text = text.strip_suffix(b"|").unwrap_or(text);
    let mut fitted = Vec::with_capacity(text.len() + 16);
    for byte in text {
        match byte {
            b'|' => fitted.extend_from_slice(b"&#124;"),
            0 => {}
            byte => fitted.push(*byte),
        }
    }
    Some(fitted)
}

fn replaced(text: &[u8], is_bad: impl Fn(u8) -> bool) -> Option<Value<'static>> {
    text.iter()
        .any(|byte| is_bad(*byte))
        .then(|| Value::Text(text.iter().map(|byte| if is_bad(*byte) { b'_' } else { *byte }).collect()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::call::{CALLS, Call};
    use crate::hook::ArgKind;

    fn text(text: &str) -> Value<'_> {
        Value::Text(text.as_bytes().into())
    }

    fn fitted<'a>(call: Call, args: &[Value<'a>]) -> Result<Vec<Value<'a>>, Unfit> {
        call.spec().fit(args).map(|fitted| fitted.unwrap_or_else(|| args.to_vec()))
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let args = [text("hello $you <all>"), text("Bot")];
        assert_eq!(Call::mc.spec().fit(&args), Ok(None));
        assert_eq!(Call::mc.spec().fit(&[text("hello"), Value::Nil]), Ok(None));
        let raw = [text("<a> b|$Quit c|"), text("nick"), Value::Int(1)];
        assert_eq!(Call::SendDataToUser.spec().fit(&raw), Ok(None));
    }

    #[test]
    fn what_would_end_or_split_a_line_is_replaced() {
        assert_eq!(
            fitted(Call::mc, &[text("a|$Quit b|"), text("x> y|")]),
            Ok(vec![text("a&#124;$Quit b"), text("x_ y_")])
        );
        assert_eq!(
            fitted(Call::mc, &[text("m"), text("a\r\nb\0c<d>$|")]),
            Ok(vec![text("m"), text("a__b_c_d___")])
        );
        let info = ["n", "a$b", "<t|>", "100\x01", "m$", "12"].map(text);
        assert_eq!(
            fitted(Call::SetMyINFO, &info),
            Ok(["n", "a_b", "<t_>", "100\x01", "m_", "12"].map(text).to_vec())
        );
    }

    #[test]
    fn what_cannot_be_made_to_fit_fails() {
        for size in ["abc", "-5", "1.5", "99999999999999999999999", " 1"] {
            let args = [text("r"), Value::Int(1), text(""), text(""), text(""), text(size)];
            assert!(Call::AddRobot.spec().fit(&args).is_err(), "{size}");
        }
        assert!(Call::SetMyINFOFlag.spec().fit(&[text("n"), Value::Int(256)]).is_err());
        let unfit = Call::SetMyINFOFlag.spec().fit(&[text("n"), Value::Int(-1)]).map_err(|e| e.to_string());
        assert_eq!(unfit, Err("its argument 'flag' must be a number from 0 to 255".into()));
    }

    #[test]
    fn numbers_are_clamped() {
        let most = Value::Int(i32::MAX.into());
        assert_eq!(
            fitted(Call::StopHub, &[Value::Int(1 << 40), Value::Int(1 << 62)]),
            Ok(vec![most.clone(), most])
        );
        let least = Value::Int(i32::MIN.into());
        assert_eq!(
            fitted(Call::StopHub, &[Value::Int(i64::MIN), Value::Int(0)]),
            Ok(vec![least, Value::Int(0)])
        );
    }

    proptest! {
        /// Whatever a script passes, no argument but raw data ends a line or holds more than an int.
        #[test]
        fn every_argument_of_every_call_fits(
            texts in prop::collection::vec("[a$|<>\\r\\n0-9 \\x00-]{0,12}", 8), numbers in prop::array::uniform8(any::<i64>()),
        ) {
            for spec in &CALLS {
                let args: Vec<Value<'_>> = spec.host_order.iter().enumerate().map(|(at, &place)| {
                    match spec.params[usize::from(place)].kind.host() {
                        ArgKind::Text => text(&texts[at]),
                        _ => Value::Int(numbers[at]),
                    }
                }).collect();
                let Ok(fitted) = fitted(spec.call, &args) else { continue };
                for (&place, value) in spec.host_order.iter().zip(&fitted) {
                    let param = &spec.params[usize::from(place)];
                    match value {
                        Value::Int(number) => prop_assert!(i32::try_from(*number).is_ok(), "{}", param.name),
                        Value::Text(text) if param.grammar != Grammar::Free => {
                            prop_assert!(!text.contains(&b'|'), "{}", param.name);
                        }
                        _ => {}
                    }
                }
                // Once is enough.
                prop_assert_eq!(spec.fit(&fitted).map(|again| again.is_none()), Ok(true), "{}", spec.name);
            }
        }
    }
}
