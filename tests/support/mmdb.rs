//! Writes small databases in MaxMind's format, for IPv4: a search tree with records of 24 bits,
//! the data, and what the database says of itself.

/// A value.
#[derive(Clone)]
pub enum Data {
    Text(String),
    Double(f64),
    U16(u16),
    U32(u32),
    U64(u64),
    Map(Vec<(String, Data)>),
    List(Vec<Data>),
}

/// A map with these entries.
pub fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Data)>) -> Data {
    Data::Map(entries.into_iter().map(|(key, value)| (key.to_string(), value)).collect())
}

impl Data {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Data::Text(text) => {
                control(out, 2, text.len());
                out.extend_from_slice(text.as_bytes());
            }
            Data::Double(number) => {
                control(out, 3, 8);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Data::U16(number) => {
                control(out, 5, 2);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Data::U32(number) => {
                control(out, 6, 4);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Data::U64(number) => {
                control(out, 9, 8);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Data::Map(entries) => {
                control(out, 7, entries.len());
                for (key, value) in entries {
                    Data::Text(key.clone()).write(out);
                    value.write(out);
                }
            }
            Data::List(values) => {
                control(out, 11, values.len());
                values.iter().for_each(|value| value.write(out));
            }
        }
    }
}

/// The type and size of what follows; types from 8 on are written in a byte of their own.
fn control(out: &mut Vec<u8>, kind: u8, size: usize) {
    let short = u8::try_from(size.min(29)).unwrap();
    out.push(if kind < 8 { kind << 5 } else { 0 } | short);
    if kind >= 8 {
        out.push(kind - 7);
    }
    if size >= 29 {
        out.push(u8::try_from(size - 29).expect("no test needs more than 284"));
    }
}

/// What a record of the tree leads to.
#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

/// A database of this type with these networks; of two that overlap, the smaller comes later.
pub fn database(kind: &str, networks: &[([u8; 4], u32, Data)]) -> Vec<u8> {
    let mut nodes = vec![[Record::Nothing; 2]];
    let mut data = Vec::new();
    for (address, bits, value) in networks {
        let (address, at) = (u32::from_be_bytes(*address), data.len());
        value.write(&mut data);
        let mut node = 0;
        for bit in 0..*bits {
            let side = (address >> (31 - bit) & 1) as usize;
            if bit + 1 == *bits {
                nodes[node][side] = Record::Data(at);
            } else if let Record::Node(next) = nodes[node][side] {
                node = next;
            } else {
                nodes.push([nodes[node][side]; 2]);
                nodes[node][side] = Record::Node(nodes.len() - 1);
                node = nodes.len() - 1;
            }
        }
    }
    let count = nodes.len();
    let mut out = Vec::new();
    for record in nodes.iter().flatten() {
        let number = match record {
            Record::Nothing => count,
            Record::Node(node) => *node,
            Record::Data(at) => count + 16 + at,
        };
        out.extend_from_slice(&u32::try_from(number).unwrap().to_be_bytes()[1..]);
    }
    out.extend_from_slice(&[0; 16]);
    out.extend_from_slice(&data);
    out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    let count = Data::U32(u32::try_from(count).unwrap());
    map([
        ("binary_format_major_version", Data::U16(2)),
        ("binary_format_minor_version", Data::U16(0)),
        ("build_epoch", Data::U64(1_700_000_000)),
        ("database_type", Data::Text(kind.into())),
        ("description", map([("en", Data::Text("made by a test".into()))])),
        ("ip_version", Data::U16(4)),
        ("languages", Data::List(vec![Data::Text("en".into())])),
        ("node_count", count),
        ("record_size", Data::U16(24)),
    ])
    .write(&mut out);
    out
}
