//! The five characters that mean something to the protocol, as HTML entities and back.

const ENTITIES: [(u8, &[u8]); 5] =
    [(b'$', b"&#36;"), (b'|', b"&#124;"), (b'`', b"&#96;"), (b'~', b"&#126;"), (5, b"&#5;")];

/// Writes the five as entities.
pub fn encode(text: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(text.len());
    for &byte in text {
        match ENTITIES.iter().find(|(plain, _)| *plain == byte) {
            Some((_, entity)) => encoded.extend_from_slice(entity),
            None => encoded.push(byte),
        }
    }
    encoded
}

/// Turns the five entities back; every other one is left alone.
pub fn decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let entity = ENTITIES.iter().find(|(_, entity)| rest.starts_with(entity));
        match entity {
            Some((plain, entity)) => {
                decoded.push(*plain);
                rest = &rest[entity.len()..];
            }
            None => {
                decoded.push(*first);
                rest = tail;
            }
        }
    }
    decoded
}
