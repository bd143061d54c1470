//! Where certificates come from: whether the configuration says enough, and whether the files it names are good.

use std::fs;
use std::path::{Path, PathBuf};

use super::checks::{first_below, leaf, text};
use super::fit::Leaf;
use super::model::Tls;
use super::problem::Problem;
use super::tls;

/// Values against each other. Asks nothing of the machine.
pub(super) fn agree(leaves: &[Leaf], problems: &mut Vec<Problem>) {
    doors_that_need_a_certificate_have_one(leaves, problems);
    the_authority_may_ask_and_be_answered(leaves, problems);
}

/// Values against the files they name.
pub(super) fn the_world(leaves: &[Leaf], problems: &mut Vec<Problem>) {
    for door in ["smtp", "smtp.submission", "smtp.mx", "publication"] {
        certificate_and_key(door, leaves, problems);
    }
    for (key, whose) in [
        ("smtp.client_ca", "the authority that signs your clients' certificates"),
        ("acme.ca", "the authority that signed the certificate of the directory's server"),
    ] {
        authority_is_readable(key, whose, leaves, problems);
    }
}

/// Passwords need TLS, the outside world expects it, and a client certificate is shown inside it.
fn doors_that_need_a_certificate_have_one(leaves: &[Leaf], problems: &mut Vec<Problem>) {
    if leaf(leaves, "acme.directory").is_some() {
        return;
    }
    let has_smtp = leaf(leaves, "smtp.tls.certificate").is_some();
    for (door, what) in [
        ("smtp.submission", "people log in here, which needs TLS, but there is no certificate."),
        ("smtp.mx", "the outside world comes in here, which needs TLS, but there is no certificate."),
        ("smtp.listen_tls", "TLS begins here with the first octet, but there is no certificate."),
        ("publication", "strangers ask here over HTTPS, but there is no certificate."),
        ("smtp.client_ca", "clients show certificates inside TLS, but there is no certificate of our own."),
    ] {
        let shared = has_smtp && door != "publication";
        let own = shared || leaf(leaves, &format!("{door}.tls.certificate")).is_some();
        let Some(leaf) = first_below(leaves, door).filter(|_| !own) else { continue };
        let section = if door == "publication" { door } else { "smtp" };
        let advice = format!(
            "Add the section `tls:` with `certificate` and `key` below `{section}:`, or the section `acme:`."
        );
        problems.push(Problem::at(leaf.at, door, what, advice));
    }
}

/// RFC 8555 §7.3.3: an account is made by who agrees. §8: the authority asks under every name before it issues.
fn the_authority_may_ask_and_be_answered(leaves: &[Leaf], problems: &mut Vec<Problem>) {
    let Some(directory) = leaf(leaves, "acme.directory") else { return };
    if let Some(terms) = leaf(leaves, "acme.terms_agreed").filter(|terms| terms.value == false) {
        let what = "without this the authority gives no certificates.";
        let advice = "Read the terms of service that its directory names, and write `true`.";
        problems.push(Problem::at(terms.at, &terms.path, what, advice));
    }
    if first_below(leaves, "acme.listen").is_none() && first_below(leaves, "publication").is_none() {
        let what =
            "the authority asks whether the names are ours, but there is no door where it is answered.";
        let advice = "Add `listen: [\"0.0.0.0:80\"]` below `acme:`, or the section `publication:`.";
        problems.push(Problem::at(directory.at, "acme", what, advice));
    }
}

/// Only when both files can be read: otherwise their own problems say enough.
fn certificate_and_key(door: &str, leaves: &[Leaf], problems: &mut Vec<Problem>) {
    let part = |name: &str| leaf(leaves, &format!("{door}.tls.{name}"));
    let (Some(certificate), Some(key)) = (part("certificate"), part("key")) else { return };
    let pair = Tls { certificate: text(certificate).into(), key: text(key).into() };
    if [&pair.certificate, &pair.key].iter().any(|path: &&PathBuf| fs::read(path).is_err()) {
        return;
    }
    let Err(error) = tls::certified_key(&pair) else { return };
    let at_fault = if matches!(error, tls::TlsError::Certificate { .. }) { certificate } else { key };
    let advice = "Give a PEM certificate chain and the PEM private key it was issued for.";
    problems.push(Problem::at(at_fault.at, &at_fault.path, format!("{error}."), advice));
}

fn authority_is_readable(key: &str, whose: &str, leaves: &[Leaf], problems: &mut Vec<Problem>) {
    let Some(leaf) = leaf(leaves, key) else { return };
    let path = Path::new(text(leaf));
    if fs::read(path).is_err() {
        return; // said already
    }
    if let Err(error) = tls::authority(path) {
        let advice = format!("Give the PEM certificates of {whose}.");
        problems.push(Problem::at(leaf.at, &leaf.path, format!("{error}."), advice));
    }
}
