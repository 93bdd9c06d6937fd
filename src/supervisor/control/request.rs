//! What a request of the control socket says.

use plugin_abi::Value;

use super::Refused;

/// What a request says under this key.
pub(super) fn field<'v>(request: &'v Value<'_>, key: &str) -> Option<&'v Value<'v>> {
    let Value::Map(entries) = request else { return None };
    entries
        .iter()
        .find(|(name, _)| matches!(name, Value::Text(name) if **name == *key.as_bytes()))
        .map(|(_, value)| value)
}

/// The same, if it is text.
pub(super) fn text(request: &Value<'_>, key: &str) -> Option<String> {
    match field(request, key) {
        Some(Value::Text(text)) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    }
}

/// The same of what must be there.
pub(super) fn needed(request: &Value<'_>, key: &'static str) -> Result<String, Refused> {
    text(request, key).ok_or(Refused::Needs(key))
}
