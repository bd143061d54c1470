//! Secrets that a person types: at the terminal, unseen, or as one line of standard input when that is no terminal, and it
//! says so. Never from the environment or the command line, which other processes can read.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use zeroize::Zeroizing;

/// A line on standard input that is longer is no secret that somebody knows.
const SECRET_BYTES_MAX: u64 = 1024;

/// Whether a secret is chosen or repeated from memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Twice on a terminal, and long enough.
    New,
    /// Once.
    Known,
}

/// Why nobody gave a secret.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// Neither a terminal nor a line on standard input.
    #[error("nobody is there to be asked for it: {0}")]
    NobodyToAsk(io::Error),
    /// A new one was too short.
    #[error("it needs at least {0} characters: a few words are easy to remember")]
    TooShort(usize),
    /// A new one was typed differently the second time.
    #[error("the two are not the same")]
    Differ,
}

/// Asks for the secret that is called `what`; a new one has at least `characters_min` characters.
///
/// # Errors
/// [`PromptError`].
pub fn secret(what: &str, asked: Asked, characters_min: usize) -> Result<Zeroizing<String>, PromptError> {
    let first = secret_line(&format!("{what}: "))?;
    if asked == Asked::Known {
        return Ok(first);
    }
    if first.chars().count() < characters_min {
        return Err(PromptError::TooShort(characters_min));
    }
    // What a script sends cannot be mistyped.
    if io::stdin().is_terminal() && secret_line("The same once more: ")? != first {
        return Err(PromptError::Differ);
    }
    Ok(first)
}

fn secret_line(prompt: &str) -> Result<Zeroizing<String>, PromptError> {
    if io::stdin().is_terminal() {
        return rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(PromptError::NobodyToAsk);
    }
    // Without a standard error nobody waits for the words.
    let _ = writeln!(io::stderr(), "{prompt}read from standard input, which is not a terminal");
    // Room for the whole at once: a growing string would leave copies of the secret behind.
    let mut text = Zeroizing::new(String::with_capacity(SECRET_BYTES_MAX as usize));
    let read = io::stdin().lock().take(SECRET_BYTES_MAX).read_line(&mut text);
    let length = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(length);
    match read {
        Ok(0) => Err(PromptError::NobodyToAsk(io::ErrorKind::UnexpectedEof.into())),
        Ok(_) => Ok(text),
        Err(error) => Err(PromptError::NobodyToAsk(error)),
    }
}
