//! Shows the console with an invented gateway: `cargo run -p admin-ui --example preview`, then open the printed
//! address. `-- fresh` shows a gateway on its first day instead of a busy one.

mod sample;

use std::io::Write;
use std::sync::Arc;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let sample = match std::env::args().nth(1).as_deref() {
        Some("fresh") => sample::fresh(),
        _ => sample::busy(),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "http://{}/", listener.local_addr()?)?;
    let sample = Arc::new(sample);
    axum::serve(listener, admin_ui::router(sample.clone(), sample.clone(), sample)).await
}
