//! Whom an argument or an answer is meant for, so that a recording can be shown to others.
//!
//! The tables of [hooks](crate::hook) and [calls](crate::call) say it of each; what a recording
//! makes of it is `src/supervisor/masking.rs`.

/// Whom a value is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Privacy {
    /// Whoever is on the hub: nicks, the chat, numbers.
    Public,
    /// One user or a few.
    Private,
    /// Nobody: a password.
    Secret,
    /// Operators: the address or host name of a user.
    Address,
    /// The hub: a command, which can carry any of the above.
    Command,
    /// Whoever a message of the protocol is for: it says so itself.
    Raw,
    /// One user: a message of the protocol, also where it looks like the chat.
    RawToOne,
    /// The database: a query, or what it found.
    Query,
    /// Those who may see the variable that stands beside it.
    Setting,
}

impl Privacy {
    /// What a recording shows instead, for the manual; `None` where all is shown.
    pub const fn shown(self) -> Option<&'static str> {
        match self {
            Privacy::Public => None,
            Privacy::Private => Some("`[private]`"),
            Privacy::Secret => Some("`[secret]`"),
            Privacy::Address => Some("a made-up address"),
            Privacy::Command => Some("passwords and messages within"),
            Privacy::Raw => Some("passwords and private messages within"),
            Privacy::RawToOne => Some("the text"),
            Privacy::Query => Some("texts, where it is about accounts or messages"),
            Privacy::Setting => Some("`[secret]`, where the variable is a password"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::CALLS;
    use crate::hook::{ArgKind, HOOKS};

    /// Every row of both tables: what has one of these names is meant for the same people everywhere,
    /// and numbers are no secrets.
    #[test]
    fn what_has_one_name_is_meant_for_the_same_people_in_every_row() {
        let names: [(&str, &[Privacy]); 8] = [
            ("ip", &[Privacy::Address]),
            ("address", &[Privacy::Address]),
            ("password", &[Privacy::Secret]),
            ("command", &[Privacy::Command]),
            ("data", &[Privacy::Raw, Privacy::RawToOne, Privacy::Private]),
            ("query", &[Privacy::Query]),
            ("new_value", &[Privacy::Setting]),
            ("value", &[Privacy::Setting]),
        ];
        let of_hooks = HOOKS
            .iter()
            .flat_map(|spec| spec.args.iter().map(move |arg| (spec.name, arg.name, arg.kind, arg.privacy)));
        let of_calls = CALLS.iter().flat_map(|spec| {
            let params = spec.params.iter();
            params.map(move |param| (spec.name, param.name, param.kind.host(), param.privacy))
        });
        let mut seen = 0;
        for (row, name, kind, privacy) in of_hooks.chain(of_calls) {
            if let Some((_, allowed)) = names.iter().find(|(known, _)| *known == name) {
                assert!(allowed.contains(&privacy), "{row}: {name} is {privacy:?}");
                seen += 1;
            }
            if kind != ArgKind::Text {
                assert_eq!(privacy, Privacy::Public, "{row}: {name} is a number");
            }
        }
        assert!(seen > 40, "only {seen} were looked at");
    }

    /// What is said to few is said so in the row's own words.
    #[test]
    fn messages_that_few_see_are_private() {
        for spec in &HOOKS {
            let is_for_few = ["private message", "to one user", "operator chat"].iter().any(|words| {
                spec.summary.contains(words) && spec.args.iter().any(|arg| arg.name == "message")
            });
            let private = spec.args.iter().any(|arg| arg.privacy == Privacy::Private);
            assert!(!is_for_few || private, "{}: {}", spec.name, spec.summary);
        }
        for spec in &CALLS {
            let is_for_few = ["private message", "operator chat", "one user", "classes only"]
                .iter()
                .any(|words| spec.summary.contains(words));
            let private =
                spec.params.iter().any(|param| matches!(param.privacy, Privacy::Private | Privacy::RawToOne));
            assert!(!is_for_few || private, "{}: {}", spec.name, spec.summary);
        }
    }
}
