//! The gateway, built beside the tests so that they never run an old one. The same `main` as `dccp-gateway`.

fn main() -> std::process::ExitCode {
    gateway::cli::main()
}
