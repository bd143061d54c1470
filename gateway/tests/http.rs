//! What a caller of the HTTP side may rely on, over a real socket.

mod http_support;

use control::{Check, ControlError, Readiness, State};
use http_support::{Fake, Server, TOKEN, basic, bearer};

#[tokio::test]
async fn health_readiness_and_metrics_need_no_token() {
    let server = Server::start(Fake::default()).await;
    assert_eq!(server.get("/healthz", "").await.status, 200);
    assert_eq!(server.get("/readyz", "").await.status, 200);
    assert_eq!(server.get("/metrics", "").await.status, 200);
}

#[tokio::test]
async fn everything_else_is_refused_without_the_token() {
    let server = Server::start(Fake::default()).await;
    for path in [
        "/",
        "/messages/Q1",
        "/assets/console.css",
        "/find?id=Q1",
        "/api/v1/overview",
        "/api/v1/messages",
        "/api/v1/messages/Q1",
        "/api/v1/partners",
        "/api/v1/nowhere",
        "/api",
        "/nowhere",
    ] {
        let answer = server.get(path, "").await;
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.has("www-authenticate: Basic realm="), "{path}");
        assert!(answer.has("www-authenticate: Bearer realm="), "{path}");
        assert!(answer.has("content-type: application/problem+json"), "{path}");
        assert!(!answer.body.contains("acme.example"), "{path} tells a stranger who we are");
    }
}

#[tokio::test]
async fn the_token_opens_as_bearer_and_as_password() {
    let server = Server::start(Fake::default()).await;
    for authorization in
        [bearer(TOKEN), basic("admin", TOKEN), basic("", TOKEN), bearer(TOKEN).replace("Bearer", "bEARER")]
    {
        let answer = server.get("/api/v1/overview", &authorization).await;
        assert_eq!(answer.status, 200, "{authorization}");
        assert_eq!(answer.json()["domain"], "acme.example");
    }
}

#[tokio::test]
async fn a_token_that_is_nearly_right_opens_nothing() {
    let server = Server::start(Fake::default()).await;
    let twice = format!("{}{}", bearer(TOKEN), bearer(TOKEN));
    let longer = format!("{TOKEN}x");
    for authorization in [
        bearer(""),
        bearer(&TOKEN[1..]),
        bearer(&longer),
        bearer(&TOKEN.to_uppercase()),
        basic(TOKEN, ""),
        basic("admin", &longer),
        format!("Authorization: {TOKEN}\r\n"),
        format!("Authorization: Digest {TOKEN}\r\n"),
        "Authorization: Basic !!!\r\n".to_owned(),
        twice,
    ] {
        assert_eq!(server.get("/api/v1/overview", &authorization).await.status, 401, "{authorization}");
    }
}

#[tokio::test]
async fn a_gateway_without_a_token_opens_to_nobody() {
    let server = Server::start_with(Fake::default(), "", &[]).await;
    for authorization in [String::new(), bearer(""), basic("", "")] {
        assert_eq!(server.get("/api/v1/overview", &authorization).await.status, 401, "{authorization}");
    }
}

#[tokio::test]
async fn a_foreign_host_name_is_refused_even_with_the_token() {
    let server = Server::start_with(Fake::default(), TOKEN, &["Console.ACME.example"]).await;
    for (host, status) in [
        ("localhost", 200),
        ("LOCALHOST:8025", 200),
        ("127.0.0.1:8025", 200),
        ("127.8.8.8", 200),
        ("[::1]:8025", 200),
        ("console.acme.example", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("evil.example:127", 421),
        ("localhost@evil.example", 421),
        ("evil.example@localhost", 421),
        ("192.0.2.1", 421),
        ("localhost/", 421),
    ] {
        for path in ["/healthz", "/metrics", "/api/v1/overview", "/"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{}", bearer(TOKEN));
            assert_eq!(server.ask(&request).await.status, status, "{path} at {host}");
        }
    }
}

#[tokio::test]
async fn the_host_is_named_exactly_once_and_the_request_target_wins() {
    let server = Server::start(Fake::default()).await;
    for (head, status) in [
        ("GET /healthz HTTP/1.1\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n", 400),
        ("GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n", 421),
        ("GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n", 200),
    ] {
        assert_eq!(server.ask(head).await.status, status, "{head}");
    }
}

#[tokio::test]
async fn readiness_names_what_is_missing() {
    let checks =
        vec![Check::ok("spool", "writable"), Check::failed("overlay", "not listening on any address")];
    let server = Server::start(Fake { readiness: Readiness::of(checks), ..Fake::default() }).await;
    let answer = server.get("/readyz", "").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["ready"], false);
    assert_eq!(answer.json()["missing"][0], "overlay: not listening on any address");
    assert_eq!(answer.json()["checks"][0]["name"], "spool");
    assert_eq!(server.get("/healthz", "").await.status, 200, "a gateway that is not ready is alive");
}

#[tokio::test]
async fn an_unknown_id_is_a_problem_document() {
    let server = Server::start(Fake::default()).await;
    let answer = server.get("/api/v1/messages/%3Cnobody%40acme.example%3E", &bearer(TOKEN)).await;
    assert_eq!(answer.status, 404);
    assert!(answer.has("content-type: application/problem+json"));
    assert_eq!(answer.json()["type"], "about:blank");
    assert_eq!(answer.json()["title"], "Not Found");
    assert_eq!(answer.json()["status"], 404);
    assert_eq!(answer.json()["detail"], "No message is known as <nobody@acme.example>.");
}

#[tokio::test]
async fn a_known_id_is_found_in_each_of_its_forms() {
    let server = Server::start(Fake::default()).await;
    for id in ["Q1", "mail-1%2Fpart%40acme.example"] {
        let answer = server.get(&format!("/api/v1/messages/{id}"), &bearer(TOKEN)).await;
        assert_eq!(answer.status, 200, "{id}");
        assert_eq!(answer.json()["messages"][0]["queue_id"], "Q1");
        assert_eq!(answer.json()["messages"][0]["stages"][0]["stage"], "received");
    }
}

#[tokio::test]
async fn a_page_of_the_journal_obeys_its_filters() {
    let server = Server::start(Fake::default()).await;
    let path = "/api/v1/messages?limit=7&before=41&partner=globex.example&state=held";
    assert_eq!(server.get(path, &bearer(TOKEN)).await.status, 200);
    let asked = server.fake.asked.lock().unwrap().clone().unwrap();
    assert_eq!((asked.limit, asked.before.as_deref()), (7, Some("41")));
    assert_eq!((asked.partner.as_deref(), asked.state), (Some("globex.example"), Some(State::Held)));
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_a_problem_document() {
    let server = Server::start(Fake::default()).await;
    for query in ["limit=many", "limit=-1", "state=lost", "stat=held"] {
        let answer = server.get(&format!("/api/v1/messages?{query}"), &bearer(TOKEN)).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.has("content-type: application/problem+json"), "{query}");
    }
    let answer = server.get("/api/v1/messages/%FF", &bearer(TOKEN)).await;
    assert_eq!(answer.status, 400);
    assert!(answer.has("content-type: application/problem+json"));
}

#[tokio::test]
async fn a_silent_journal_is_a_503_that_says_which_part() {
    let server = Server::start(Fake {
        silent: Some(ControlError::Unavailable("The spool is busy.".into())),
        ..Fake::default()
    })
    .await;
    for path in ["/api/v1/overview", "/api/v1/partners", "/api/v1/messages", "/api/v1/messages/Q1"] {
        let answer = server.get(path, &bearer(TOKEN)).await;
        assert_eq!(answer.status, 503, "{path}");
        assert_eq!(answer.json()["detail"], "The spool is busy.");
    }
}

#[tokio::test]
async fn unknown_paths_and_writing_methods_are_problem_documents() {
    let server = Server::start(Fake::default()).await;
    for path in ["/api", "/api/", "/api/v1", "/api/v2/overview", "/api/v1/nowhere"] {
        let answer = server.get(path, &bearer(TOKEN)).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.has("content-type: application/problem+json"), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let request =
            format!("{method} /api/v1/messages/Q1 HTTP/1.1\r\nHost: localhost\r\n{}", bearer(TOKEN));
        let answer = server.ask(&request).await;
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.has("allow: GET"), "{}", answer.head);
        assert!(answer.has("content-type: application/problem+json"), "{method}");
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let server = Server::start(Fake::default()).await;
    let token = bearer(TOKEN);
    for (path, authorization) in [
        ("/", token.as_str()),
        ("/", ""),
        ("/healthz", ""),
        ("/api/v1/overview", &token),
        ("/nowhere", &token),
    ] {
        let answer = server.get(path, authorization).await;
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'",
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert!(answer.has(header), "{header} is missing at {path}:\n{}", answer.head);
        }
        assert!(!answer.head.contains("unsafe"), "{}", answer.head);
    }
    let foreign = server.ask("GET / HTTP/1.1\r\nHost: evil.example\r\n").await;
    assert!(foreign.has("cache-control: no-store"), "refusals carry them, too");
}

#[tokio::test]
async fn a_large_body_is_refused_before_it_is_read() {
    let server = Server::start(Fake::default()).await;
    let request =
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n{}", bearer(TOKEN));
    assert_eq!(server.ask(&request).await.status, 413);
}

#[tokio::test]
async fn metrics_show_counters_and_what_the_journal_says_now() {
    let server = Server::start(Fake::default()).await;
    server.metrics.accepted(100);
    let answer = server.get("/metrics", "").await;
    assert!(answer.has("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(answer.body.contains("dccp_accepted_total 1\n"), "{}", answer.body);
    assert!(
        answer.body.contains("dccp_queue_depth{direction=\"outbound\",state=\"queued\"} 3\n"),
        "{}",
        answer.body
    );
    assert!(answer.body.ends_with("# EOF\n"));
}

#[tokio::test]
async fn metrics_are_there_when_the_journal_is_silent() {
    let server =
        Server::start(Fake { silent: Some(ControlError::Unavailable("busy".into())), ..Fake::default() })
            .await;
    let answer = server.get("/metrics", "").await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("dccp_accepted_total 0\n"));
}

#[tokio::test]
async fn a_browser_with_the_token_sees_the_console() {
    let server = Server::start(Fake::default()).await;
    let answer = server.get("/", &basic("me", TOKEN)).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("<h1 id=\"organisation\">acme.example</h1>"), "{}", answer.body);
    let answer = server.get("/nowhere", &basic("me", TOKEN)).await;
    assert_eq!(answer.status, 404);
    assert!(answer.has("content-type: text/html"));
}

const HOLD: &str = r#"{"act":"hold","which":{"id":"Q1"},"by":"carol"}"#;

#[tokio::test]
async fn only_the_token_and_only_our_own_pages_change_anything() {
    let server = Server::start(Fake::default()).await;
    let own = format!("Origin: http://{}\r\n", server.address);
    let order = async |header: String| {
        server.post("/api/v1/queue/orders", &header, "application/json", HOLD).await.status
    };
    assert_eq!(order(String::new()).await, 401);
    assert_eq!(order(own.clone()).await, 401);
    let password = basic("carol", TOKEN);
    assert_eq!(order(password.clone()).await, 403, "a browser's password from nobody knows where");
    assert_eq!(order(format!("{password}Origin: https://evil.example\r\n")).await, 403);
    assert_eq!(order(format!("{password}Sec-Fetch-Site: cross-site\r\n")).await, 403);
    assert_eq!(order(format!("{password}Sec-Fetch-Site: same-site\r\n{own}")).await, 403);
    assert!(server.fake.ordered.lock().unwrap().is_none(), "nothing of this was heard");
    assert_eq!(order(format!("{password}{own}")).await, 200);
    assert_eq!(order(bearer(TOKEN)).await, 200);
    assert!(server.fake.ordered.lock().unwrap().is_some());
}

#[tokio::test]
async fn the_queue_is_asked_and_ordered_in_json_and_misspelt_words_mean_nothing() {
    let server = Server::start(Fake::default()).await;
    let token = bearer(TOKEN);
    assert_eq!(server.get("/api/v1/queue", &token).await.json()["next"], "77");
    assert_eq!(server.get("/api/v1/queue?state=held&sender=acme.example", &token).await.status, 200);
    assert_eq!(server.get("/api/v1/queue?sendr=acme.example", &token).await.status, 400);
    for path in ["/api/v1/queue/destinations", "/api/v1/queue/rules", "/api/v1/audit"] {
        assert_eq!(server.get(path, &token).await.status, 200, "{path}");
    }
    let post = async |path, body| server.post(path, &token, "application/json", body).await.status;
    assert_eq!(post("/api/v1/queue/orders", r#"{"act":"burn","which":{"id":"Q1"},"by":"x"}"#).await, 400);
    assert_eq!(post("/api/v1/queue/orders", r#"{"act":"hold","which":{"ids":"Q1"},"by":"x"}"#).await, 400);
    assert_eq!(post("/api/v1/queue/rules", r#"{"name":"quiet","sender":"a.example","by":"x"}"#).await, 200);
    assert_eq!(post("/api/v1/queue", HOLD).await, 405, "what is only read is not posted to");
    assert_eq!(server.get("/api/v1/queue/orders", &token).await.status, 405);
    assert_eq!(server.get("/api/v1/nowhere", &token).await.status, 404);
}
