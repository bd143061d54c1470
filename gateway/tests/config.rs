//! Promises about `dccp-config.yaml`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use gateway::config::{self, Config, DeliveryProtocol, LogFormat, Problems};
use keystore::keyfile::{self, Kind};
use smtp::server::Role;
use tempfile::TempDir;

/// The shortest file there is.
const SHORTEST: &str = "\
organisation: { domain: acme.test }
smtp: { hostname: gateway.acme.test }
delivery: { address: \"127.0.0.1:2424\" }
";

/// A folder in which everything that `SHORTEST` names by default is in order.
fn house() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("keys")).unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    for (name, kind) in [
        ("operator.key", Kind::Operator),
        ("device.key", Kind::Device),
        ("node.key", Kind::Node),
        ("storage.key", Kind::Storage),
        ("control.token", Kind::ControlToken),
    ] {
        keyfile::write(&folder.path().join("keys").join(name), kind, &vec![7; kind.secret_bytes()], None)
            .unwrap();
    }
    folder
}

fn write(folder: &TempDir, yaml: &str) -> PathBuf {
    let path = folder.path().join("dccp-config.yaml");
    fs::write(&path, yaml).unwrap();
    path
}

/// What an operator reads, with the folder's name taken out.
fn page(folder: &TempDir, problems: &Problems) -> String {
    problems.to_string().replace(&format!("{}/", folder.path().display()), "")
}

fn load(yaml: &str) -> (TempDir, Result<Config, Problems>) {
    let folder = house();
    let path = write(&folder, yaml);
    let loaded = Config::load(&path);
    (folder, loaded)
}

fn problems_of(yaml: &str) -> String {
    let (folder, loaded) = load(yaml);
    page(&folder, &loaded.unwrap_err())
}

#[test]
fn three_lines_make_a_configuration_and_the_rest_has_defaults() {
    let (folder, loaded) = load(SHORTEST);
    let config = loaded.unwrap();
    assert_eq!(config.domains(), ["acme.test"]);
    assert_eq!(config.delivery.protocol, DeliveryProtocol::Lmtp);
    assert_eq!(config.delivery.address.to_string(), "127.0.0.1:2424");
    assert_eq!(config.smtp.size_bytes_max, 26_214_400);
    assert_eq!(config.queue.lifetime_ms(), 72 * 60 * 60 * 1000);
    assert_eq!(config.smtp.tls, None);
    assert_eq!(config.control.listen.to_string(), "127.0.0.1:8480");
    assert_eq!(config.keys.operator, folder.path().join("keys/operator.key"));
}

#[test]
fn an_inbox_that_the_largest_mail_never_fits_into_is_told() {
    let found = problems_of(&format!(
        "{SHORTEST}agents: {{ message_bytes_max: 52428800, inbox_bytes_max: 30000000 }}\n"
    ));
    assert!(found.contains("agents.inbox_bytes_max") && found.contains("at least 52428800"), "{found}");
}

#[test]
fn six_mistakes_are_reported_together_with_their_places() {
    let found = problems_of(
        "\
organisation:
  domain: acme_test
smtp:
  hostname: gateway.acme.test
  listn: [\"127.0.0.1:2525\"]
  trusted_networks: [10.1.2.3/8]
delivery:
  protocol: pop3
queue:
  lifetime_h: three days
",
    );
    let expected = "\
6 problems in dccp-config.yaml:

dccp-config.yaml:2:11: organisation.domain: \"acme_test\" is not a domain name.
    Write letters, digits, hyphens and dots, such as acme.test; an international name in its xn-- form.

dccp-config.yaml:5:3: smtp.listn: there is no such key.
    Did you mean `listen`?

dccp-config.yaml:6:22: smtp.trusted_networks[0]: \"10.1.2.3/8\" has bits beyond its prefix.
    If you mean the whole network, write 10.0.0.0/8.

dccp-config.yaml:8:3: delivery.address: is missing.
    Add the line `address: 127.0.0.1:2424` here.

dccp-config.yaml:8:13: delivery.protocol: pop3 is not one of lmtp, smtp.
    Write the word without quotes, in lower case.

dccp-config.yaml:10:15: queue.lifetime_h: three days is not a whole number from 1 to 72.
    Write digits only, without unit, quotes or separators.
";
    assert_eq!(found, expected);
}

#[test]
fn what_the_file_names_is_looked_at_too() {
    let folder = house();
    let storage = folder.path().join("keys/storage.key");
    fs::set_permissions(&storage, fs::Permissions::from_mode(0o644)).unwrap();
    fs::rename(folder.path().join("keys/node.key"), folder.path().join("keys/node")).unwrap();
    fs::copy(folder.path().join("keys/device.key"), folder.path().join("keys/operator.key")).unwrap();
    fs::write(folder.path().join("local.cedar"), "forbid (principal, action, resource) when { subject }")
        .unwrap();
    fs::write(folder.path().join("smtp.crt"), "no certificate").unwrap();
    keyfile::write(&folder.path().join("smtp.key"), Kind::Node, &[1; 32], None).unwrap();
    let path = write(
        &folder,
        &format!(
            "{}{}",
            SHORTEST.replace(
                "gateway.acme.test }",
                "gateway.acme.test, tls: { certificate: smtp.crt, key: smtp.key }, listen: [\"127.0.0.1:8480\"] }"
            ),
            "data_dir: nowhere\npolicies: { rules: local.cedar }\n"
        ),
    );
    let found = page(&folder, &Config::load(&path).unwrap_err());
    for expected in [
        "keys.operator: keys/operator.key is not a key file that starts with `dccp-operator-key-v1:`.",
        "keys.node: keys/node.key does not exist.",
        "keys.storage: keys/storage.key may be read by others (mode 0644).\n    Run `chmod 600 keys/storage.key`",
        "smtp.tls.certificate: smtp.crt holds no PEM certificate",
        "control.listen: the TCP port 8480 is already taken by `smtp.listen[0]`.",
        "dccp-config.yaml:4:11: data_dir: the folder nowhere does not exist.",
        "dccp-config.yaml:5:20: policies.rules: local.cedar:1: ",
    ] {
        assert!(found.contains(expected), "{expected}\n--- not in ---\n{found}");
    }
    assert!(found.starts_with("7 problems"), "{found}");
    assert!(Config::read(&path).is_err(), "the port is a problem of the values");
}

#[test]
fn reading_for_a_question_does_not_ask_for_the_files() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Config::read(&write(&folder, SHORTEST)).is_ok());
    assert!(Config::load(&write(&folder, SHORTEST)).is_err());
}

#[test]
fn broken_yaml_is_reported_where_it_breaks() {
    let found = problems_of("organisation:\n  domain: \"acme.test\nsmtp: {}\n");
    assert!(found.contains("dccp-config.yaml:"), "{found}");
    assert!(found.contains("this is not YAML"), "{found}");
}

#[test]
fn a_key_in_the_wrong_section_is_told_where_it_belongs() {
    let found = problems_of(&format!("{SHORTEST}lifetime_h: 12\n"));
    assert!(found.contains("`lifetime_h` belongs elsewhere, as `queue.lifetime_h`"), "{found}");
}

#[test]
fn a_key_given_twice_is_refused_not_overruled() {
    let found = problems_of(&format!("{SHORTEST}queue: {{ lifetime_h: 1, lifetime_h: 2 }}\n"));
    assert!(found.contains("dccp-config.yaml:4:25: queue.lifetime_h: is given twice"), "{found}");
}

#[test]
fn the_control_port_is_refused_to_the_network_and_the_reason_given() {
    let found = problems_of(&format!("{SHORTEST}control: {{ listen: \"0.0.0.0:8480\" }}\n"));
    assert!(found.contains("can be reached from other machines"), "{found}");
}

#[test]
fn wrong_types_are_named_as_what_they_are() {
    let found = problems_of(&format!(
        "{SHORTEST}overlay: {{ mdns: \"yes\", listen: [], announce: /ip4/1.2.3.4/tcp/1 }}\nqueue: [1]\nlog: {{ level: 7 }}\n"
    ));
    for expected in [
        "overlay.mdns: \"yes\" is not true or false.",
        "overlay.listen: has 0 items, but needs at least 1.",
        "overlay.announce: has a single value, but a list is needed.",
        "queue: has a list, but a section is needed.",
        "log.level: 7 is not one of error, warn, info, debug, trace.",
    ] {
        assert!(found.contains(expected), "{expected}\n--- not in ---\n{found}");
    }
}

#[test]
fn a_multiaddr_we_have_no_transport_for_is_refused() {
    let found = problems_of(&format!("{SHORTEST}overlay: {{ listen: [/ip4/127.0.0.1/tcp/4001/ws] }}\n"));
    assert!(found.contains("dccp-config.yaml:4:21: overlay.listen[0]: "), "{found}");
}

#[test]
fn mail_that_arrives_cannot_be_handed_to_our_own_door() {
    let found = problems_of(&SHORTEST.replace("127.0.0.1:2424", "127.0.0.1:2525"));
    assert!(found.contains("delivery.address: is our own SMTP door (`smtp.listen[0]`)"), "{found}");
}

/// `SHORTEST` with more in its `smtp` section.
fn with_smtp(more: &str) -> String {
    SHORTEST.replace("gateway.acme.test }", &format!("gateway.acme.test, {more} }}"))
}

#[test]
fn the_doors_of_people_and_of_the_outside_need_a_certificate_and_people_need_names() {
    let found = problems_of(&with_smtp(
        "submission: {}, mx: {}, client_ca: dccp-config.yaml, listen_tls: [\"127.0.0.1:465\"]",
    ));
    for expected in [
        "smtp.submission: people log in here, which needs TLS, but there is no certificate.",
        "smtp.submission: people log in here, but there is nobody who could.",
        "smtp.mx: the outside world comes in here, which needs TLS, but there is no certificate.",
        "smtp.listen_tls: TLS begins here with the first octet, but there is no certificate.",
        "smtp.client_ca: clients show certificates inside TLS, but there is no certificate of our own.",
        "smtp.client_ca: dccp-config.yaml holds no PEM certificate",
    ] {
        assert!(found.contains(expected), "{expected}\n--- not in ---\n{found}");
    }
}

#[test]
fn an_authority_gives_every_door_a_certificate_if_it_may_be_asked_and_can_be_answered() {
    let acme = |more: &str| format!("acme: {{ directory: \"https://ca.acme.test/dir\", {more} }}\n");
    let doors = format!("{}publication: {{}}\n", with_smtp("mx: {}, listen_tls: [\"127.0.0.1:4650\"]"));
    let (_folder, loaded) = load(&format!("{doors}{}", acme("terms_agreed: true")));
    let config = loaded.unwrap();
    assert_eq!(config.certificate_names(), ["gateway.acme.test"]);

    let found = problems_of(&format!("{}{}", with_smtp("mx: {}"), acme("terms_agreed: false")));
    for expected in [
        "acme.terms_agreed: without this the authority gives no certificates.",
        "acme: the authority asks whether the names are ours, but there is no door where it is answered.",
    ] {
        assert!(found.contains(expected), "{expected}\n--- not in ---\n{found}");
    }
    let found = problems_of(&doors);
    let expected = "publication: strangers ask here over HTTPS, but there is no certificate.";
    assert!(found.contains(expected), "{found}");
    let found = problems_of(&format!(
        "{SHORTEST}acme: {{ directory: \"http://ca.acme.test\", terms_agreed: true, contact: postmaster }}\n"
    ));
    for expected in ["is not an https:// address.", "is not a mail address."] {
        assert!(found.contains(expected), "{expected}\n--- not in ---\n{found}");
    }
}

#[test]
fn an_empty_section_opens_a_door_at_its_usual_ports_and_takes_over_what_it_does_not_say() {
    let folder = house();
    let smtp = "tls: { certificate: crt, key: key }, submission: {}, limits: { recipients_max: 200 }, \
                mx: { tls: { certificate: mx.crt, key: mx.key }, limits: { sessions_max: 7 } }";
    let yaml = format!("{}users: {{ file: users.yaml }}\n", with_smtp(smtp));
    let config = Config::read(&write(&folder, &yaml)).unwrap();
    let doors: Vec<_> = config
        .smtp
        .doors()
        .into_iter()
        .map(|door| {
            let certificate = door.tls.unwrap().certificate.file_name().unwrap().to_owned();
            let (listen, listen_tls) = (door.listen.to_vec(), door.listen_tls.to_vec());
            let limits = (door.limits.sessions_max, door.limits.recipients_max);
            (
                door.role,
                format!("{listen:?} {listen_tls:?}"),
                certificate,
                limits,
                door.trusted_networks.len(),
            )
        })
        .collect();
    let (relay, people) = ("[127.0.0.1:2525] []".to_owned(), "[0.0.0.0:587] [0.0.0.0:465]".to_owned());
    let expected = vec![
        (Role::Relay, relay, "crt".into(), (1_000, 200), 2),
        (Role::Submission, people, "crt".into(), (1_000, 200), 0),
        (Role::Mx, "[0.0.0.0:25] []".to_owned(), "mx.crt".into(), (7, 200), 0),
    ];
    assert_eq!(doors, expected);
}

#[test]
fn doors_do_not_share_an_address_and_unknown_keys_of_a_door_are_told_their_neighbours() {
    let found = problems_of(&with_smtp("mx: { listen: [\"127.0.0.1:2525\"], proxy_network: [] }"));
    assert!(
        found.contains("smtp.mx.listen[0]: the TCP port 2525 is already taken by `smtp.listen[0]`"),
        "{found}"
    );
    assert!(
        found.contains("smtp.mx.proxy_network: there is no such key.\n    Did you mean `proxy_networks`?"),
        "{found}"
    );
}

#[test]
fn retry_delays_out_of_order_and_a_domain_given_twice_are_refused() {
    let yaml = SHORTEST.replace("acme.test }\nsmtp", "acme.test, also: [ACME.test] }\nsmtp");
    let found =
        problems_of(&format!("{yaml}queue: {{ retry_delay_ms_min: 5000, retry_delay_ms_max: 1000 }}\n"));
    assert!(
        found.contains("organisation.also[0]: ACME.test is already given as `organisation.domain`."),
        "{found}"
    );
    assert!(found.contains("queue.retry_delay_ms_min: 5000 is more than"), "{found}");
}

#[test]
fn a_master_key_from_a_token_needs_a_token_and_its_files() {
    let nameless = problems_of(&format!("{SHORTEST}keys: {{ master: {{ from: pkcs11 }} }}\n"));
    assert!(nameless.contains("keys.master.from: is pkcs11, but no token is named."), "{nameless}");
    let token = "pkcs11: { module: /nowhere/p11.so, token: t }";
    let missing = problems_of(&format!("{SHORTEST}keys: {{ master: {{ from: pkcs11, {token} }} }}\n"));
    assert!(missing.contains("keys.master.pkcs11.module: /nowhere/p11.so does not exist."), "{missing}");
    assert!(missing.contains("keys.master.file: master.key does not exist."), "{missing}");
    let unused = problems_of(&format!("{SHORTEST}keys: {{ master: {{ from: systemd, {token} }} }}\n"));
    assert!(!unused.contains("keys.master."), "what is not asked need not be there: {unused}");
}

#[test]
fn with_a_master_key_a_clear_key_file_is_a_problem_and_without_one_a_sealed_one_is() {
    let clear = problems_of(&format!("{SHORTEST}keys: {{ master: {{ from: systemd }} }}\n"));
    for key in ["operator", "device", "node", "storage"] {
        let expected = format!("keys.{key}: keys/{key}.key lies in the clear although `keys.master` is set.");
        assert!(clear.contains(&expected), "{expected}\n--- not in ---\n{clear}");
    }
    assert!(clear.starts_with("4 problems"), "the control token stays clear: {clear}");

    let folder = house();
    let path = folder.path().join("keys/node.key");
    let sealed = fs::read_to_string(&path).unwrap().replace("-v1:", "-v2:");
    fs::write(&path, sealed).unwrap();
    let found = page(&folder, &Config::load(&write(&folder, SHORTEST)).unwrap_err());
    assert!(
        found.contains("keys/node.key is sealed under a master key, but `keys.master` is not set."),
        "{found}"
    );
}

#[test]
fn an_empty_value_means_the_default() {
    let (_folder, loaded) =
        load(&format!("{SHORTEST}queue:\nlog:\n  format: json\n  level:\npolicies: {{ rules: ~ }}\n"));
    let config = loaded.unwrap();
    assert_eq!(
        (config.log.format, config.queue.lifetime_h, config.policies.rules),
        (LogFormat::Json, 72, None)
    );
}

#[test]
fn yaml_that_unfolds_is_refused() {
    for trick in ["data_dir: &a data\n", "data_dir: *a\n", "data_dir: !!str data\n", "%YAML 1.2\n---\n"] {
        let yaml =
            if trick.starts_with('%') { format!("{trick}{SHORTEST}") } else { format!("{SHORTEST}{trick}") };
        assert!(load(&yaml).1.is_err(), "{trick}");
    }
    let deep = format!("{SHORTEST}overlay: {}{}\n", "[".repeat(500), "]".repeat(500));
    assert!(load(&deep).1.is_err());
}

#[test]
fn a_file_that_is_no_configuration_is_refused_whole() {
    let folder = house();
    let missing = Config::load(&folder.path().join("none.yaml")).unwrap_err();
    assert!(
        page(&folder, &missing).contains("none.yaml: the file does not exist.\n    Name it with"),
        "{missing}"
    );
    assert!(problems_of("").contains("is empty"));
    assert!(problems_of(&format!("{SHORTEST}---\na: b\n")).contains("a second YAML document"));
    assert!(problems_of(&"# comment\n".repeat(30_000)).contains("larger than"));
}

#[test]
fn the_sample_that_is_shipped_loads_and_is_the_one_the_code_prints() {
    let shipped = repository().join("deploy/dccp-config.yaml");
    let printed = config::sample();
    assert_eq!(fs::read_to_string(&shipped).unwrap_or_default(), printed, "{REPRINT}");
    let read = Config::read(&shipped).unwrap();
    assert_eq!(read.smtp.hostname, "gateway.acme.test");
}

#[test]
fn the_documentation_is_the_one_the_code_prints() {
    let page = fs::read_to_string(repository().join("docs/CONFIG.md")).unwrap_or_default();
    assert_eq!(page, config::markdown(), "{REPRINT}");
}

const REPRINT: &str = "print it again: make config-docs";

#[test]
fn every_key_of_the_complete_example_in_the_documentation_is_accepted() {
    let page = config::markdown();
    let yaml = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let folder = house();
    let read = Config::read(&write(&folder, yaml)).unwrap();
    let words = |config: &Config| serde_json::to_string(&config.smtp).unwrap();
    let rooted = words(&read).replace(&format!("{}/", folder.path().display()), "");
    assert_eq!(rooted, words(&Config::example()));
    assert_eq!(read.queue, Config::example().queue);
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
