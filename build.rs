//! Compiles the C ABI's two variadic functions and makes `libvhpy.so` stay where it is.

fn main() {
    println!("cargo:rerun-if-changed=src/ffi/variadic.c");
    println!("cargo:rerun-if-changed=plugin-abi/include/vhpy.h");
    cc::Build::new()
        .file("src/ffi/variadic.c")
        .include("plugin-abi/include")
        .std("c99")
        .warnings(true)
        .extra_warnings(true)
        .compile("vhpy_variadic");
    // A hub may dlclose the library while thread-local data and fork handlers still point
    // into it. It is mapped once and stays; opening it again finds it as it was.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
