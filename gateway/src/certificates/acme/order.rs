//! One order: account, challenges, request, chain.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, ExternalAccountKey, Identifier, NewAccount, NewOrder,
    OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use zeroize::Zeroizing;

use super::challenge::{Answering, Challenges};
use super::client::Client;
use super::errors::{AcmeError, words};
use super::folder::{self, Folder, Holder, Kept};
use crate::config::{self, Config, ExternalAccount, tls};

/// Everything that one certificate takes. Authorities look from several places and may ask again.
const ORDER_TIME_MAX: Duration = Duration::from_secs(300);

/// Orders that are begun for one certificate, where nonces are the only trouble.
const ORDERS_MAX: usize = 3;

/// The authority is asked how far it is, less and less often.
const RETRIES: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(120));

/// What is ordered, of whom, and how its questions are answered.
pub(super) struct Order {
    client: Client,
    holder: Holder,
    terms_agreed: bool,
    external: Option<ExternalAccount>,
    names: Vec<String>,
    proof: ChallengeType,
    challenges: Arc<Challenges>,
    folder: Folder,
}

impl Order {
    /// # Errors
    /// [`AcmeError::Roots`].
    pub(super) fn new(
        configured: &config::Acme,
        config: &Config,
        folder: Folder,
        names: Vec<String>,
        challenges: Arc<Challenges>,
    ) -> Result<Self, AcmeError> {
        let unusable = |error: &dyn std::fmt::Display| AcmeError::Roots(error.to_string());
        let roots = match &configured.ca {
            Some(ca) => tls::authority(ca).map_err(|error| unusable(&error))?,
            None => finding::trusted_roots(&config.finding.settings()).map_err(|error| unusable(&error))?,
        };
        let holder = Holder {
            directory: configured.directory.clone(),
            contact: configured.contact.clone(),
            customer: configured.external_account.as_ref().map(|account| account.id.clone()),
        };
        let by_http = !configured.listen.is_empty();
        Ok(Self {
            client: Client::new(roots)?,
            holder,
            terms_agreed: configured.terms_agreed,
            external: configured.external_account.clone(),
            names,
            proof: if by_http { ChallengeType::Http01 } else { ChallengeType::TlsAlpn01 },
            challenges,
            folder,
        })
    }

    /// The names that the certificate is to be for.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Gets a certificate and keeps it; with the key of the one before, unless there is none or a new one is wanted.
    ///
    /// # Errors
    /// See [`AcmeError`]. What was kept before is then as it was.
    pub(super) async fn place(&self, new_key: bool) -> Result<Kept, AcmeError> {
        let made = |error: rcgen::Error| AcmeError::Key(error.to_string());
        let old = self.folder.certificate().ok().flatten().filter(|_| !new_key);
        let key = old.and_then(|kept| kept.key()).map_or_else(KeyPair::generate, Ok).map_err(made)?;
        let obtained = tokio::time::timeout(ORDER_TIME_MAX, self.obtain_patiently(&key)).await;
        let kept = Kept::of_chain(&obtained.map_err(|_| AcmeError::Slow)??, &key)?;
        self.folder.keep_certificate(&kept)?;
        Ok(kept)
    }

    /// Each request is made up to three times for its nonce; an authority with several servers may need more patience.
    async fn obtain_patiently(&self, key: &KeyPair) -> Result<String, AcmeError> {
        for _ in 1..ORDERS_MAX {
            match self.obtain(key).await {
                Err(AcmeError::Nonces) => {}
                obtained => return obtained,
            }
        }
        self.obtain(key).await
    }

    /// An authority may have lost its accounts, as one for tests does with each start.
    async fn obtain(&self, key: &KeyPair) -> Result<String, AcmeError> {
        match self.folder.account(&self.holder) {
            Ok(Some(credentials)) => {
                let builder = Account::builder_with_http(Box::new(self.client.clone()));
                let account = builder.from_credentials(credentials).await?;
                match self.issue(&account, key).await {
                    Err(AcmeError::AccountGone) => {}
                    issued => return issued,
                }
            }
            Ok(None) => {}
            Err(error @ AcmeError::Altered(_)) => {
                tracing::warn!(%error, "another account is made at the authority");
            }
            Err(error) => return Err(error),
        }
        self.issue(&self.sign_up().await?, key).await
    }

    /// Makes an account (RFC 8555 §7.3) and keeps it.
    async fn sign_up(&self) -> Result<Account, AcmeError> {
        let contact: Vec<String> =
            self.holder.contact.iter().map(|address| format!("mailto:{address}")).collect();
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let wanted = NewAccount {
            contact: &contact,
            terms_of_service_agreed: self.terms_agreed,
            only_return_existing: false,
        };
        let external = self.external.as_ref().map(external_key).transpose()?;
        let builder = Account::builder_with_http(Box::new(self.client.clone()));
        let (account, credentials) =
            builder.create(&wanted, self.holder.directory.clone(), external.as_ref()).await?;
        self.folder.keep_account(&folder::Account { holder: self.holder.clone(), credentials })?;
        tracing::info!(account = account.id(), "the authority made us an account");
        Ok(account)
    }

    /// RFC 8555 §7.4: the chain, in PEM.
    async fn issue(&self, account: &Account, key: &KeyPair) -> Result<String, AcmeError> {
        let names: Vec<Identifier> = self.names.iter().cloned().map(Identifier::Dns).collect();
        let mut order = account.new_order(&NewOrder::new(&names)).await?;
        let answering = self.answer(&mut order).await?;
        let ready = order.poll_ready(&RETRIES).await;
        if !matches!(ready, Ok(OrderStatus::Ready)) {
            // The authority's reason stands at the challenge; its word about the order says less.
            return Err(match unproven(&mut order).await {
                Some(error) => error,
                None => {
                    ready.err().map_or(AcmeError::Refused("the order is invalid".into()), AcmeError::from)
                }
            });
        }
        drop(answering);
        order.finalize_csr(&self.request(key)?).await?;
        Ok(order.poll_certificate(&RETRIES).await?)
    }

    /// Has every question answered that the authority has about the order; a name it asked about lately may have none.
    async fn answer(&self, order: &mut instant_acme::Order) -> Result<Vec<Answering>, AcmeError> {
        let mut answering = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let name = authorization.identifier().to_string();
            let wanted = if self.proof == ChallengeType::Http01 { "http-01" } else { "tls-alpn-01" };
            let Some(mut challenge) = authorization.challenge(self.proof.clone()) else {
                return Err(AcmeError::NoWay { name, wanted });
            };
            answering.push(self.challenges.answer(&name, &challenge)?);
            challenge.set_ready().await?;
        }
        Ok(answering)
    }

    /// The certificate signing request (RFC 2986): the names, and nothing else.
    fn request(&self, key: &KeyPair) -> Result<Vec<u8>, AcmeError> {
        let made = |error: rcgen::Error| AcmeError::Key(error.to_string());
        let mut params = CertificateParams::new(self.names.clone()).map_err(made)?;
        params.distinguished_name = DistinguishedName::new();
        Ok(params.serialize_request(key).map_err(made)?.der().to_vec())
    }
}

/// Which name the authority did not find us under, and why, if that is what it says.
async fn unproven(order: &mut instant_acme::Order) -> Option<AcmeError> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.ok()?;
        let state = authorization.refresh().await.ok()?;
        let failed = state.challenges.iter().find_map(|challenge| challenge.error.as_ref());
        if let Some(problem) = failed {
            return Some(AcmeError::Unproven { name: state.identifier().to_string(), why: words(problem) });
        }
    }
    None
}

/// RFC 8555 §7.3.4: the MAC key comes in base64url.
fn external_key(account: &ExternalAccount) -> Result<ExternalAccountKey, AcmeError> {
    let wrong = |why: String| AcmeError::ExternalKey { path: account.key.clone(), why };
    let text = Zeroizing::new(fs::read_to_string(&account.key).map_err(|error| wrong(error.to_string()))?);
    let line = text.lines().next().unwrap_or_default().trim().trim_end_matches('=');
    let key = Zeroizing::new(URL_SAFE_NO_PAD.decode(line).map_err(|error| wrong(error.to_string()))?);
    match key.is_empty() {
        true => Err(wrong("it is empty".into())),
        false => Ok(ExternalAccountKey::new(account.id.clone(), &key)),
    }
}
