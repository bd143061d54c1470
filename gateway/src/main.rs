//! `dccp-gateway`: see [`gateway::cli`] for its commands and exit codes.

fn main() -> std::process::ExitCode {
    gateway::cli::main()
}
