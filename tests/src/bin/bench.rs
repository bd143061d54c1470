//! `make bench`: a pair of gateways against a pair of Postfixes. See the module `tests::bench`.

use std::process::ExitCode;

use tests::bench::plan::{HELP, Plan};
use tests::bench::{self, interrupt, postfix, tools};

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn main() -> ExitCode {
    if std::env::args().any(|word| word == "--help" || word == "-h") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let plan = match Plan::parse(std::env::args().skip(1)).and_then(|plan| tools::check().map(|()| plan)) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("bench: {error}");
            return ExitCode::from(2);
        }
    };
    if cfg!(debug_assertions) {
        eprintln!("bench: this is a debug build; its gateways are slow. Use `make bench`.");
    }
    let parent = plan.dir.clone().unwrap_or_else(std::env::temp_dir);
    let ground =
        tempfile::Builder::new().prefix("dccp-bench").tempdir_in(parent).expect("a folder to work in");
    postfix::let_in(ground.path());
    interrupt::clean_up_when_told(ground.path().to_owned());
    // The gateways' folders are on the same disk as Postfix's queues.
    tempfile::env::override_temp_dir(ground.path()).expect("nobody else chose a folder");
    let json = plan.json.clone();
    let results = bench::run(plan, ground.path());
    println!("{results}");
    if let Some(file) = json {
        std::fs::write(file, format!("{:#}\n", results.to_json())).expect("the JSON file is writable");
    }
    ExitCode::SUCCESS
}
