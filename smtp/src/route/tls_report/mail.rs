//! The report as a mail (RFC 8460 §5.3).

use std::fmt::Write as _;
use std::time::SystemTime;

use super::Report;
use crate::address::Address;
use crate::trace::date;

/// Separates the parts. The text is ours and JSON escapes what could look like it, so it occurs in neither.
const BOUNDARY: &str = "=_tls_report_";

/// A complete RFC 5322 message with CRLF line ends, from `from` to `to`, about `report`.
///
/// The file is not compressed: a report of ours has a few kilobytes at most.
pub fn mail(report: &Report<'_>, from: &Address, to: &Address, now: SystemTime) -> String {
    let Report { organisation, domain, id, .. } = report;
    let mut mail = String::new();
    // RFC 8460 §5.3: these fields and this subject, so that a receiver can sort without reading.
    let _ = write!(
        mail,
        "From: <{from}>\r\nTo: <{to}>\r\nDate: {}\r\n\
         Subject: Report Domain: {domain}\r\n Submitter: {organisation}\r\n Report-ID: <{id}>\r\n\
         Message-ID: <{id}@{organisation}>\r\n\
         TLS-Report-Domain: {domain}\r\nTLS-Report-Submitter: {organisation}\r\n\
         Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n boundary=\"{BOUNDARY}\"\r\n\r\n\
         This is a message in MIME format: a report about TLS.\r\n\r\n",
        date(now),
    );
    let _ = write!(
        mail,
        "--{BOUNDARY}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\
         How TLS with the mail servers of {domain} went,\r\nas seen by {organisation}.\r\n\r\n",
    );
    let _ = write!(
        mail,
        "--{BOUNDARY}\r\nContent-Type: application/tlsrpt+json\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\
         Content-Disposition: attachment;\r\n filename=\"{}\"\r\n\r\n{}\r\n--{BOUNDARY}--\r\n",
        report.file_name(),
        crate::dsn::quoted_printable(report.json().replace('\n', "\r\n").as_bytes()),
    );
    mail
}
