//! Tells the crates that depend on this one where the C header is.

fn main() {
    println!("cargo::rerun-if-changed=include");
    println!("cargo::metadata=include={}/include", env!("CARGO_MANIFEST_DIR"));
}
