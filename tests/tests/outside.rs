//! Mail to servers outside of the overlay: a real Postfix takes it, a real NSD signs (or does not sign) what leads there,
//! and real HTTPS servers say what the domains ask for. Whatever cannot be protected as asked does not leave.

mod outside {
    mod courier;
    mod lab;
    mod protection;
    mod replies;
    mod reports;
    mod tls_reports;
}
