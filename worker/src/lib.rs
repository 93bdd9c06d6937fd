//! The script's side.
