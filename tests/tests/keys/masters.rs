//! Where the master key comes from, and what happens when it does not come.

use tests::peers::SoftHsm;

use crate::*;

#[test]
fn a_master_key_in_a_token_is_needed_at_each_start() {
    let token = SoftHsm::new("dccp-token");
    let mut house = House::empty();
    house.environment.push((token.environment().0, token.environment().1.into()));
    let uri = token.uri();
    house.must(&house.init_words(&["--master", &uri]));
    assert!(house.file_text("master.key").starts_with("dccp-master-token-v1:"));
    for (name, kind) in KEY_FILES {
        assert!(house.file_text(name).starts_with(kind.sealed_prefix()), "{name}");
    }
    let checked = house.must(&["check"]);
    assert!(!checked.contains("in the clear"), "{checked}");

    token.unplug();
    for command in ["check", "run"] {
        let refused = house.refusal(&[command]);
        assert!(refused.contains("shows no token `dccp-token`; is it plugged in"), "{refused}");
    }
    token.plug_in();
    fs::write(token.pin(), "wrong").expect("a PIN file");
    let refused = house.refusal(&["check"]);
    assert!(refused.contains("the token `dccp-token` refuses the PIN"), "{refused}");
    fs::remove_file(token.pin()).expect("a PIN file");
    assert!(house.refusal(&["check"]).contains("pin does not exist"), "a missing PIN file is named");
}

#[test]
fn another_token_of_the_same_name_does_not_open_the_master_key() {
    let (token, other) = (SoftHsm::new("dccp-token"), SoftHsm::new("dccp-token"));
    let mut house = House::empty();
    house.environment.push((token.environment().0, token.environment().1.into()));
    house.must(&house.init_words(&["--master", &token.uri()]));
    house.environment = vec![(other.environment().0, other.environment().1.into())];
    let refused = house.refusal(&["check"]);
    assert!(refused.contains("has no AES key `dccp-master`"), "{refused}");

    // Now it has a key of that label, but another one.
    let theirs = House { environment: house.environment.clone(), ..House::empty() };
    theirs.must(&theirs.init_words(&["--master", &other.uri()]));
    let refused = house.refusal(&["check"]);
    assert!(refused.contains("does not open") && refused.contains("it is another key"), "{refused}");
}

#[test]
fn a_passphrase_is_asked_for_and_only_the_right_one_opens() {
    let mut house = House::empty();
    house.stdin = "too short\n".into();
    let refused = house.refusal(&house.init_words(&["--master", "prompt"]));
    assert!(refused.contains("at least 12 characters"), "{refused}");
    assert!(files_below(house.folder.path()).is_empty(), "nothing was written");

    house.stdin = format!("{PASSPHRASE}\n");
    house.must(&house.init_words(&["--master", "prompt"]));
    let asked = house.must(&["check"]);
    assert!(asked.contains("read from standard input, which is not a terminal"), "{asked}");
    house.stdin = "another passphrase\n".into();
    let refused = house.refusal(&["check"]);
    assert!(refused.contains("the passphrase does not open"), "{refused}");
    house.stdin = String::new();
    assert!(house.refusal(&["check"]).contains("nobody is there to be asked"));
    house.environment = vec![("PASSPHRASE", PASSPHRASE.into()), ("DCCP_PASSPHRASE", PASSPHRASE.into())];
    let refused = house.refusal(&["check"]);
    assert!(refused.contains("nobody is there to be asked"), "the environment is not asked: {refused}");
}

#[test]
fn a_master_key_of_systemd_is_found_where_systemd_puts_it() {
    let mut house = House::founded(&["--master", "systemd:dccp-master"]);
    let refused = house.refusal(&["check"]);
    assert!(refused.contains("LoadCredential=dccp-master:FILE"), "{refused}");
    // As systemd does it: a folder for this unit, files of mode 0440.
    let credentials = tempfile::tempdir().expect("a folder");
    let credential = credentials.path().join("dccp-master");
    fs::rename(house.path("dccp-master.credential"), &credential).expect("init wrote it");
    fs::set_permissions(&credential, fs::Permissions::from_mode(0o440)).expect("our own file");
    house.environment.push(("CREDENTIALS_DIRECTORY", credentials.path().into()));
    house.must(&["check"]);
}

#[test]
fn exchanged_key_files_and_master_keys_are_called_by_their_name() {
    let (house, other) = (House::founded(&[]), House::founded(&[]));
    let exchange = |one: &Path, other: &Path| {
        let kept = fs::read(one).expect("a file");
        fs::copy(other, one).expect("a file");
        fs::write(other, kept).expect("a file");
    };
    exchange(&house.path("keys/node.key"), &house.path("keys/storage.key"));
    let refused = house.refusal(&["check"]);
    assert!(refused.contains("node.key is not a key file that starts with `dccp-node-key-v2:`"), "{refused}");
    exchange(&house.path("keys/node.key"), &house.path("keys/storage.key"));
    house.must(&["check"]);

    exchange(&house.path("master.key"), &other.path("master.key"));
    let refused = house.refusal(&["check"]);
    assert!(refused.contains("was sealed under another master key"), "{refused}");
    exchange(&house.path("master.key"), &other.path("master.key"));
    fs::copy(other.path("keys/node.key"), house.path("keys/node.key")).expect("a file");
    let refused = house.refusal(&["check"]);
    assert!(refused.contains("node.key was sealed under another master key"), "{refused}");

    fs::set_permissions(house.path("master.key"), fs::Permissions::from_mode(0o644)).expect("our own file");
    assert!(house.refusal(&["check"]).contains("may be read by others"));
}

#[test]
fn keys_in_the_clear_are_warned_of_and_can_be_sealed() {
    let house = House::founded(&["--master", "none"]);
    let did = house.log().did();
    let warned = house.must(&["check"]);
    assert!(warned.contains("warning: the private keys lie in the clear"), "{warned}");
    let refused = house.refusal(&["keys", "seal"]);
    assert!(refused.contains("keys.master is not set"), "{refused}");

    let config = house.file_text("dccp-config.yaml");
    let with_master = config.replacen("keys:\n", "keys:\n  master: { from: file }\n", 1);
    fs::write(house.path("dccp-config.yaml"), with_master).expect("the configuration");
    let refused = house.refusal(&["check"]);
    assert!(refused.contains("operator.key lies in the clear although `keys.master` is set"), "{refused}");

    let sealed = house.must(&["keys", "seal"]);
    assert_eq!(sealed.matches("  sealed").count(), 4, "{sealed}");
    for (name, kind) in KEY_FILES {
        assert!(house.file_text(name).starts_with(kind.sealed_prefix()), "{name}");
    }
    let checked = house.must(&["check"]);
    assert!(!checked.contains("warning") && checked.contains(did.as_str()), "{checked}");
    assert_eq!(house.must(&["keys", "seal"]).matches("was sealed already").count(), 4, "twice does no harm");
}

#[test]
fn keys_move_to_another_master_key_and_open_with_that_one_only() {
    let mut house = House::founded(&[]);
    let did = house.log().did();
    let config = house.file_text("dccp-config.yaml");
    fs::write(house.path("former.yaml"), &config).expect("the former configuration");
    fs::rename(house.path("master.key"), house.path("former.key")).expect("the former master key");
    let previous = text(&house.path("former.yaml")).to_owned();
    let lost = house.refusal(&["keys", "reseal", "--previous", &previous]);
    assert!(lost.contains("master.key"), "{lost}");
    fs::rename(house.path("former.key"), house.path("master.key")).expect("the former master key");

    let moved = config.replacen("from: file", "from: prompt\n    file: passphrase.key", 1);
    assert_ne!(moved, config);
    fs::write(house.path("dccp-config.yaml"), moved).expect("the configuration");
    house.stdin = format!("{PASSPHRASE}\n");
    let sealed = house.must(&["keys", "reseal", "--previous", &previous]);
    assert_eq!(sealed.matches("  sealed").count(), 4, "{sealed}");
    fs::remove_file(house.path("master.key")).expect("the former master key");
    assert!(house.must(&["check"]).contains(did.as_str()));
    house.stdin = "another passphrase\n".into();
    assert!(house.refusal(&["check"]).contains("the passphrase does not open"));
}

#[test]
fn a_move_to_another_master_key_that_was_cut_short_is_finished_by_running_it_again() {
    let house = House::founded(&[]);
    let config = house.file_text("dccp-config.yaml");
    let former = config.replacen("from: file", "from: file\n    file: former.key", 1);
    fs::write(house.path("former.yaml"), &former).expect("the former configuration");
    fs::rename(house.path("master.key"), house.path("former.key")).expect("the former master key");
    let previous = text(&house.path("former.yaml")).to_owned();
    let (operator, kept) = (house.path("keys/operator.key"), house.path("operator.kept"));
    fs::copy(&operator, &kept).expect("a file");
    house.must(&["keys", "reseal", "--previous", &previous]);
    // As if it had been cut short before the first file.
    fs::copy(&kept, &operator).expect("a file");
    assert!(house.refusal(&["check"]).contains("operator.key was sealed under another master key"));
    let again = house.must(&["keys", "reseal", "--previous", &previous]);
    assert_eq!((again.matches("  sealed").count(), again.matches("was sealed already").count()), (1, 3));
    house.must(&["check"]);
}
