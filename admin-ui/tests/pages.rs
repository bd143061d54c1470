//! What a reader of the console may rely on.

#[path = "../examples/preview/sample.rs"]
mod sample;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use control::ControlError;
use http_body_util::BodyExt;
use sample::Sample;
use tower::ServiceExt;

fn router(sample: Sample) -> Router {
    let sample = Arc::new(sample);
    admin_ui::router(sample.clone(), sample.clone(), sample)
}

async fn answer(sample: Sample, path: &str) -> (StatusCode, String) {
    let router = router(sample);
    let response = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status();
    let octets = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(octets.to_vec()).unwrap())
}

#[tokio::test]
async fn the_first_page_says_who_we_are_and_what_waits() {
    let (status, page) = answer(sample::busy(), "/").await;
    assert_eq!(status, StatusCode::OK);
    for text in
        ["acme.example", "did:dccp:1k7q", "Ready", "globex.example", "Connected over quic for 3 h 20 min"]
    {
        assert!(page.contains(text), "{text} is missing");
    }
    assert!(page.contains("connection refused"), "the reason why a link is down is missing");
    assert!(page.contains("oldest without progress 2 min 5 s"));
}

#[tokio::test]
async fn hostile_text_never_becomes_markup() {
    for path in ["/", "/messages/4TQH0ZZ"] {
        let (_, page) = answer(sample::busy(), path).await;
        assert!(!page.contains("<script>alert"), "{path}");
        assert!(!page.contains("<img src=x"), "{path}");
        assert!(!page.contains("<b>bold"), "{path}");
        assert!(!page.contains('\u{202E}'), "{path}: an override reorders the page");
        assert!(page.contains("⟨U+202E⟩"), "{path}: the attempt is not visible");
    }
}

#[tokio::test]
async fn a_hostile_search_stays_text() {
    let (status, page) = answer(sample::busy(), "/messages/%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(!page.contains("<script>alert"), "{page}");
    assert!(page.contains("Nothing found"));
}

#[tokio::test]
async fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
    for path in ["/", "/messages/4TQK7XW", "/messages/unknown", "/nowhere", "/archive"] {
        let (_, page) = answer(sample::busy(), path).await;
        assert!(!page.contains("style=") && !page.contains("<style"), "{path}");
        assert_eq!(page.matches("<script").count(), page.matches("<script src=\"/assets/").count(), "{path}");
        assert!(!page.contains(" onclick") && !page.contains("javascript:"), "{path}");
        assert!(!page.contains("src=\"http") && !page.contains("href=\"http"), "{path}");
    }
}

#[tokio::test]
async fn a_mail_to_two_partners_shows_both_ways_on_one_page() {
    let (status, page) = answer(sample::busy(), "/messages/4TQK7XW").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("To globex.example") && page.contains("To initech.example"));
    assert!(page.contains("sealed for 2 destinations"));
    assert!(page.contains("delivered after 182 ms") && page.contains("+25 ms"));
}

#[tokio::test]
async fn the_search_box_leads_to_the_message_with_or_without_brackets() {
    for id in ["%3Cbudget-2026%40acme.example%3E", "budget-2026%40acme.example"] {
        let router = router(sample::busy());
        let request = Request::get(format!("/find?id={id}")).body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        assert_eq!(response.headers()[header::LOCATION], "/messages/budget-2026%40acme.example");
    }
    let (status, page) = answer(sample::busy(), "/messages/budget-2026%40acme.example").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("4TQK7XW"));
}

#[tokio::test]
async fn the_table_shows_only_the_chosen_state() {
    let (_, page) = answer(sample::busy(), "/?state=held").await;
    assert!(page.contains("bob@globex.example") && !page.contains("nobody@globex.example"));
    assert!(page.contains("aria-current=\"true\">Held"));
    let (status, page) = answer(sample::busy(), "/?state=lost").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(page.contains("not a state"), "{page}");
}

#[tokio::test]
async fn the_link_to_older_messages_keeps_the_filter() {
    let (_, page) = answer(sample::busy(), "/?state=delivered&partner=globex.example").await;
    assert!(page.contains("/?state=delivered&#38;partner=globex.example&#38;before=41"), "{page}");
    let (_, page) = answer(sample::busy(), "/?before=41").await;
    assert!(page.contains("There are no older messages"), "{page}");
}

#[tokio::test]
async fn a_gateway_on_its_first_day_says_what_to_do() {
    let (status, page) = answer(sample::fresh(), "/").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("Not ready") && page.contains("not listening on any address"));
    assert!(page.contains("No message has passed yet") && page.contains("dccp-gateway partner import"));
}

#[tokio::test]
async fn a_gateway_whose_journal_is_silent_shows_that_instead_of_an_empty_page() {
    let silent =
        || Sample { overview: Err(ControlError::Unavailable("The spool is busy.".into())), ..sample::busy() };
    let (status, page) = answer(silent(), "/").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.contains("The spool is busy."));
    let (status, _) = answer(silent(), "/messages/4TQK7XW").await;
    assert_eq!(status, StatusCode::OK, "one message can still be followed");
}

#[tokio::test]
async fn an_unknown_page_is_a_page_with_a_way_back() {
    let (status, page) = answer(sample::busy(), "/nowhere").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(page.contains("href=\"/\"") && page.contains("Nothing found"));
}

#[tokio::test]
async fn what_a_page_links_to_exists() {
    for (path, media_type) in [
        ("/assets/console.css", "text/css; charset=utf-8"),
        ("/assets/console.js", "text/javascript; charset=utf-8"),
        ("/assets/lock.svg", "image/svg+xml"),
    ] {
        let router = router(sample::busy());
        let response = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], media_type);
    }
}

#[tokio::test]
async fn the_queue_says_what_waits_where_for_and_why() {
    let (status, page) = answer(sample::busy(), "/queue").await;
    assert_eq!(status, StatusCode::OK);
    for text in
        ["alice@acme.example", "held", "by carol", "initech.example", "connection refused", "no-globex"]
    {
        assert!(page.contains(text), "{text} is missing in {page}");
    }
    assert!(!page.contains("<b>bold"), "hostile text becomes markup");
    let (_, held) = answer(sample::busy(), "/queue?state=held").await;
    assert!(
        held.contains(r#"href="/queue?state=held" aria-current="true""#) && !held.contains(r#"value="r1""#),
        "{held}"
    );
    assert_eq!(answer(sample::busy(), "/queue?state=burnt").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_order_of_the_form_is_given_row_by_row_in_the_name_of_whoever_sent_it() {
    let order = async |form: &'static str| {
        let mut request = Request::post("/queue/orders")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form))
            .unwrap();
        request.extensions_mut().insert(control::Caller("carol".to_owned()));
        let response = router(sample::busy()).oneshot(request).await.unwrap();
        let status = response.status();
        let octets = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(octets.to_vec()).unwrap())
    };
    let (status, page) = order("row=r1&row=r2&act=hold&why=x").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("hold: 1 done") && page.contains("ordered by carol"), "{page}");
    assert_eq!(order("act=hold").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(order("row=r1&act=burn").await.0, StatusCode::BAD_REQUEST);
    let (status, _) = answer(sample::busy(), "/queue/orders").await;
    assert_eq!(status, StatusCode::SEE_OTHER, "a reload gives no order");
}

#[tokio::test]
async fn the_archive_shows_what_rests_by_which_rules_and_which_holds_keep_it() {
    let (status, page) = answer(sample::busy(), "/archive").await;
    assert_eq!(status, StatusCode::OK);
    for text in [
        "18\u{202F}204 copies",
        "(81 %)",
        "nearly full",
        "Keeps mail (out, in) to globex.example for 3650 days",
        "Keeps all mail for 180 days",
        "case-2026-7",
        "alice@acme.example, initech.example",
        "by carol",
    ] {
        assert!(page.contains(text), "{text} is missing in {page}");
    }
    assert!(!page.contains("<b>bold"));
    let (_, fresh) = answer(sample::fresh(), "/archive").await;
    assert!(fresh.contains("Nothing is archived") && !fresh.contains("A new hold"), "{fresh}");
}

#[tokio::test]
async fn a_new_hold_reads_addresses_and_whole_days_and_a_refusal_says_why() {
    let posted = async |path: &str, form: &'static str| {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form))
            .unwrap();
        router(sample::busy()).oneshot(request).await.unwrap().status()
    };
    let whole = "name=x&addresses=alice%40acme.example%2C+globex.example&from=&to=2025-11-30&why=w";
    assert_eq!(posted("/archive/holds", whole).await, StatusCode::SEE_OTHER);
    let no_day = "name=x&addresses=alice%40acme.example&to=tomorrow&why=w";
    assert_eq!(posted("/archive/holds", no_day).await, StatusCode::BAD_REQUEST);
    assert_eq!(posted("/archive/holds/lift", "name=nobody&why=w").await, StatusCode::NOT_FOUND);
}
