//! From nothing to a connection that is ready for MAIL: TCP, greeting, EHLO, TLS and login as the target wants them.

use tokio::{net::TcpStream, time::timeout};

use super::{
    HandOverError, Protocol, Stage, Target, TlsFailure, TlsFailureKind, Verification,
    capabilities::Capabilities,
    connection::{Connection, Stream},
    login,
    replies::ReplyError,
    tls,
};
use crate::tls::TlsFacts;

/// Connects to `target`. Where clear text will do, a handshake that fails leads to a second connection, in clear:
/// opportunistic security must not do worse than none (RFC 7435 §3).
pub(super) async fn open(target: &Target) -> Result<Connection, HandOverError> {
    match attempt(target, target.tls.verification()).await {
        Err(HandOverError::Tls(failure)) if target.tls.allows_clear() && !target.implicit_tls => {
            let mut connection = attempt(target, None).await?;
            connection.tls_failure = Some(failure);
            Ok(connection)
        }
        result => result,
    }
}

async fn attempt(target: &Target, verification: Option<&Verification>) -> Result<Connection, HandOverError> {
    let stream = connect(target).await?;
    let stays_here = stream.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback());
    let stream: Box<dyn Stream> = Box::new(stream);
    let mut connection = match verification {
        Some(verification) if target.implicit_tls => {
            let (stream, facts) = handshake(stream, target, verification).await?;
            greeted(stream, Some(facts), target).await?
        }
        Some(verification) => start_tls(greeted(stream, None, target).await?, target, verification).await?,
        None => greeted(stream, None, target).await?,
    };
    if let Some(credentials) = &target.login {
        login::log_in(&mut connection, credentials, stays_here).await?;
    }
    Ok(connection)
}

async fn connect(target: &Target) -> Result<TcpStream, HandOverError> {
    let connecting = timeout(target.timeouts.connect, TcpStream::connect(&target.address));
    connecting
        .await
        .unwrap_or_else(|elapsed| Err(elapsed.into()))
        .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
        .map_err(|source| HandOverError::Connect { address: target.address.clone(), source })
}

/// Reads the greeting and introduces us.
async fn greeted(
    stream: Box<dyn Stream>,
    tls: Option<TlsFacts>,
    target: &Target,
) -> Result<Connection, HandOverError> {
    let mut connection = Connection::new(stream, tls, target);
    let greeting = connection.reply(Stage::Greeting).await?;
    if greeting.code != 220 {
        return Err(HandOverError::Refused { stage: Stage::Greeting, reply: greeting.into() });
    }
    introduce(&mut connection, &target.hello).await?;
    Ok(connection)
}

async fn introduce(connection: &mut Connection, hello: &str) -> Result<(), HandOverError> {
    let verb = match connection.protocol {
        Protocol::Smtp => "EHLO",
        Protocol::Lmtp => "LHLO",
    };
    let mut reply = connection.ask(&format!("{verb} {hello}\r\n"), Stage::Hello).await?;
    // RFC 5321 §3.2: a server of before 1995 gets the HELO it understands.
    if connection.protocol == Protocol::Smtp && matches!(reply.code, 500 | 502) {
        reply = connection.ask(&format!("HELO {hello}\r\n"), Stage::Hello).await?;
        reply.lines.truncate(1);
    }
    if !reply.is_positive() {
        return Err(HandOverError::Refused { stage: Stage::Hello, reply: reply.into() });
    }
    connection.capabilities = Capabilities::of(&reply);
    Ok(())
}

/// STARTTLS (RFC 3207), and a second introduction under TLS, where nothing from before it counts (§4.2).
async fn start_tls(
    mut connection: Connection,
    target: &Target,
    verification: &Verification,
) -> Result<Connection, HandOverError> {
    if !connection.capabilities.start_tls {
        let failure =
            TlsFailure::new(TlsFailureKind::StartTlsNotSupported, "the server does not offer STARTTLS");
        return without_tls(connection, target, failure);
    }
    let stage = Stage::StartTls;
    let reply = connection.ask("STARTTLS\r\n", stage).await?;
    match reply.code {
        220 => {}
        421 => return Err(HandOverError::Refused { stage, reply: reply.into() }),
        400..=599 => {
            let reason = format!("STARTTLS was refused: {}", crate::reply::Reply::from(reply));
            let failure = TlsFailure::new(TlsFailureKind::StartTlsNotSupported, reason);
            return without_tls(connection, target, failure);
        }
        code => return Err(HandOverError::Reply { stage, source: ReplyError::OutOfPlace(code) }),
    }
    let (stream, facts) = handshake(connection.into_stream()?, target, verification).await?;
    let mut secured = Connection::new(stream, Some(facts), target);
    introduce(&mut secured, &target.hello).await?;
    Ok(secured)
}

/// Goes on in clear if that will do, and parts otherwise.
fn without_tls(
    mut connection: Connection,
    target: &Target,
    failure: TlsFailure,
) -> Result<Connection, HandOverError> {
    if !target.tls.allows_clear() {
        connection.part();
        return Err(HandOverError::Tls(failure));
    }
    connection.tls_failure = Some(failure);
    Ok(connection)
}

async fn handshake(
    stream: Box<dyn Stream>,
    target: &Target,
    verification: &Verification,
) -> Result<(Box<dyn Stream>, TlsFacts), HandOverError> {
    match timeout(target.timeouts.connect, tls::handshake(stream, verification, target.host())).await {
        Ok(done) => Ok(done?),
        Err(_) => {
            let reason = "the handshake came to no end in time";
            Err(TlsFailure::new(TlsFailureKind::ValidationFailure, reason).into())
        }
    }
}
