//! System variables: what scripts may read of the server that they believe to talk to.

/// What `VERSION()` says: scripts look at its beginning.
pub const VERSION: &str = "10.11.0-MariaDB-vhpy";

/// Names and values.
pub const VARIABLES: &[(&str, &str)] = &[
    ("autocommit", "ON"),
    ("character_set_client", "utf8mb4"),
    ("character_set_connection", "utf8mb4"),
    ("character_set_database", "utf8mb4"),
    ("character_set_results", "utf8mb4"),
    ("character_set_server", "utf8mb4"),
    ("collation_connection", "utf8mb4_general_ci"),
    ("collation_database", "utf8mb4_general_ci"),
    ("collation_server", "utf8mb4_general_ci"),
    ("group_concat_max_len", "1048576"),
    ("lower_case_table_names", "0"),
    ("max_allowed_packet", "4194304"),
    ("sql_mode", "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION"),
    ("time_zone", "SYSTEM"),
    ("tx_isolation", "REPEATABLE-READ"),
    ("version", VERSION),
    ("version_comment", "vhpy on SQLite"),
];

/// A system variable's value.
pub fn system_variable(name: &str) -> Option<String> {
    let found = VARIABLES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some(if found.1 == "ON" { "1".into() } else { found.1.into() })
}
