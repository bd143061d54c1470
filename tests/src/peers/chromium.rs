//! Chromium: a browser as an administrator has it in front of them, told over a pipe what a person would do
//! (Chrome DevTools Protocol).
//!
//! ```text
//! Chromium::start() ─► open(url) ─► write(field, words) ─► click(button) ─► … ─► await_words(on the page)
//! ```

use std::{
    io::{BufRead, BufReader, Write},
    process::{ChildStdin, ChildStdout, Command},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{ASK_AGAIN, process};

/// A page of ours is there within a tenth of a second on an idle machine; the browser itself takes one or two.
const PAGE_WAIT: Duration = Duration::from_secs(60);

/// Its pipes are file descriptors 3 and 4; what it prints is none of ours.
const PIPES: &str = r#"exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>&2"#;

/// No sandbox, because tests run as root; nothing that asks or calls home.
const WORDS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
];

/// A running browser with one page.
pub struct Chromium {
    words: ChildStdin,
    answers: BufReader<ChildStdout>,
    page: Option<String>,
    count: u64,
    // Before the folder: the process ends before its files go.
    _server: process::Server,
    _folder: TempDir,
}

impl Chromium {
    /// Starts it with a profile of its own and an empty page.
    pub fn start() -> Self {
        let browser = process::command("chromium", "chromium");
        let folder = tempfile::Builder::new().prefix("chromium").tempdir().expect("a temporary folder");
        let mut command = Command::new("sh");
        command.args(["-c", PIPES]).arg(browser.get_program()).args(WORDS);
        command.arg("--window-size=1280,1000").arg(format!("--user-data-dir={}", folder.path().display()));
        let log = folder.path().join("log");
        let (server, words, answers) =
            process::Server::start_talking("chromium", command.env("HOME", folder.path()), &log);
        let answers = BufReader::new(answers);
        let mut chromium = Self { words, answers, page: None, count: 0, _server: server, _folder: folder };
        let target = chromium.ask("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = chromium.ask("Target.attachToTarget", attach)["sessionId"].clone();
        chromium.page = session.as_str().map(str::to_owned);
        chromium
    }

    /// Opens an address.
    #[track_caller]
    pub fn open(&mut self, url: &str) {
        let opened = self.ask("Page.navigate", json!({"url": url}));
        assert_eq!(opened["errorText"], Value::Null, "{url}: {opened}");
    }

    /// Waits until the page shows these words; all that it then says.
    #[track_caller]
    pub fn await_words(&mut self, words: &str) -> String {
        const LOOK: &str = "document.readyState == 'complete' ? document.body.innerText : ''";
        let end = Instant::now() + PAGE_WAIT;
        loop {
            let page = self.evaluate(LOOK).unwrap_or_default().as_str().unwrap_or_default().to_owned();
            if page.contains(words) {
                return page;
            }
            assert!(Instant::now() < end, "the page never says {words:?}:\n{page}");
            std::thread::sleep(ASK_AGAIN);
        }
    }

    /// Clicks what this CSS selector finds first, with the mouse.
    #[track_caller]
    pub fn click(&mut self, selector: &str) {
        let find = format!(
            "(it => {{ it.scrollIntoView({{block: 'center'}}); const at = it.getBoundingClientRect();
             return [at.x + at.width / 2, at.y + at.height / 2] }})(document.querySelector({}))",
            json!(selector)
        );
        let at = self.evaluate(&find).unwrap_or_else(|| panic!("nothing on the page is {selector}"));
        for kind in ["mousePressed", "mouseReleased"] {
            let mouse = json!({"type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1});
            self.ask("Input.dispatchMouseEvent", mouse);
        }
    }

    /// Writes into a field.
    #[track_caller]
    pub fn write(&mut self, selector: &str, words: &str) {
        self.click(selector);
        self.ask("Input.insertText", json!({"text": words}));
    }

    /// What a script gives; nothing while the page makes way for the next, or when the script fails.
    fn evaluate(&mut self, script: &str) -> Option<Value> {
        let script = json!({"expression": script, "returnByValue": true});
        let done = self.try_ask("Runtime.evaluate", script).ok()?;
        done.get("exceptionDetails").is_none().then(|| done["result"]["value"].clone())
    }

    /// The result of a command.
    #[track_caller]
    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.try_ask(method, params).unwrap_or_else(|refusal| panic!("{method}: {refusal}"))
    }

    fn try_ask(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.count += 1;
        let mut message = json!({"id": self.count, "method": method, "params": params});
        if let Some(page) = &self.page {
            message["sessionId"] = json!(page);
        }
        let octets = [message.to_string().as_bytes(), b"\0"].concat();
        self.words.write_all(&octets).expect("the browser reads");
        loop {
            let answer = self.hear();
            if answer["id"] == json!(self.count) {
                return answer.get("result").cloned().ok_or_else(|| answer["error"].clone());
            }
        }
    }

    /// The next answer or event, JSON up to a NUL.
    fn hear(&mut self) -> Value {
        let mut message = Vec::new();
        self.answers.read_until(0, &mut message).expect("the browser writes");
        assert_eq!(message.pop(), Some(0), "the browser ended");
        serde_json::from_slice(&message).expect("JSON")
    }
}
