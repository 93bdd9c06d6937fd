//! Ranks: what users may do, one class more than the next.

/// What a user may do, as a rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub enum Class {
    /// A hub list's pinger.
    Pinger = -1,
    /// Not registered.
    #[default]
    Guest = 0,
    /// Registered.
    Registered = 1,
    /// With privileges.
    Vip = 2,
    /// Keeps order.
    Operator = 3,
    /// A chief of operators.
    Chief = 4,
    /// Configures the hub.
    Admin = 5,
    /// Owns the hub.
    Master = 10,
}

impl Class {
    /// All classes, from the lowest.
    pub const ALL: [Class; 8] = [
        Class::Pinger,
        Class::Guest,
        Class::Registered,
        Class::Vip,
        Class::Operator,
        Class::Chief,
        Class::Admin,
        Class::Master,
    ];

    /// The class with this number.
    pub fn from_number(number: i64) -> Option<Class> {
        Class::ALL.into_iter().find(|class| class.number() == number)
    }

    /// Its number, as configuration and scripts have it.
    pub fn number(self) -> i64 {
        i64::from(self as i8)
    }

    /// What operators call it.
    pub fn name(self) -> &'static str {
        match self {
            Class::Pinger => "pinger",
            Class::Guest => "guest",
            Class::Registered => "registered user",
            Class::Vip => "VIP",
            Class::Operator => "operator",
            Class::Chief => "chief",
            Class::Admin => "admin",
            Class::Master => "master",
        }
    }
}

/// Whether an account of this class must have a password from the beginning.
pub fn needs_password(class: i64) -> bool {
    class >= Class::Operator.number()
}
