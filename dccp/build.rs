//! Compiles `proto/dccp.proto` in pure Rust: no `protoc` is needed on the build machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto/dccp.proto");
    let descriptors = protox::compile(["proto/dccp.proto"], ["proto"])?;
    // `Bytes` instead of `Vec<u8>`: decoding a 25 MB mail must not copy it field by field.
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    Ok(())
}
