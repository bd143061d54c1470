use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn in_file(folder: &Path) -> (MasterSource, PathBuf) {
    let path = folder.join("master.key");
    (MasterSource::File(path.clone()), path)
}

#[test]
fn what_a_created_master_key_sealed_the_opened_one_opens() {
    let folder = tempfile::tempdir().unwrap();
    let (source, path) = in_file(folder.path());
    let sealed = MasterKey::create(&source, &mut rand::rng()).unwrap().seal("purpose", b"secret");
    let opened = MasterKey::open(&source).unwrap();
    assert_eq!(opened.open_sealed("purpose", &sealed).unwrap().as_slice(), b"secret");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_sealed_secret_opens_for_its_purpose_and_under_its_master_key_only() {
    let ours = MasterKey::of(Zeroizing::new([1; 32]));
    let sealed = ours.seal("purpose", b"secret");
    assert_eq!(ours.open_sealed("another", &sealed).unwrap_err(), OpenError::Altered);
    let theirs = MasterKey::of(Zeroizing::new([2; 32]));
    assert_eq!(theirs.open_sealed("purpose", &sealed).unwrap_err(), OpenError::OtherMaster);
    for length in 0..sealed.len() {
        assert_eq!(
            ours.open_sealed("purpose", &sealed[..length]).unwrap_err(),
            OpenError::Altered,
            "{length}"
        );
    }
    assert_ne!(sealed, ours.seal("purpose", b"secret"), "a key and nonce of its own for each record");
}

#[test]
fn an_existing_master_key_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (source, path) = in_file(folder.path());
    MasterKey::create(&source, &mut rand::rng()).unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(MasterKey::create(&source, &mut rand::rng()), Err(MasterError::Io { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_master_key_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (source, path) = in_file(folder.path());
    MasterKey::create(&source, &mut rand::rng()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(MasterKey::open(&source), Err(MasterError::Exposed { mode: 0o640, .. })));
}

#[test]
fn another_file_is_not_taken_for_a_master_key() {
    let folder = tempfile::tempdir().unwrap();
    let (source, path) = in_file(folder.path());
    for text in ["", "dccp-master-key-v1:AAAA\n", "dccp-storage-key-v1:AAAA\n", "dccp-master-key-v1:?\n"] {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(MasterKey::open(&source), Err(MasterError::NotAMasterKey { .. })), "{text}");
    }
}

#[test]
fn a_credential_of_systemd_is_read_with_the_modes_that_systemd_gives_it() {
    let folder = tempfile::tempdir().unwrap();
    let (source, path) = in_file(folder.path());
    MasterKey::create(&source, &mut rand::rng()).unwrap();
    for mode in [0o400, 0o440] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(systemd(Some(folder.path()), "master.key").is_ok(), "{mode:o}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    assert!(matches!(systemd(Some(folder.path()), "master.key"), Err(MasterError::Exposed { .. })));
}

#[test]
fn a_missing_credential_says_what_the_unit_needs() {
    let folder = tempfile::tempdir().unwrap();
    for given in [None, Some(folder.path())] {
        let error = systemd(given, "dccp-master").expect_err("none");
        assert!(error.to_string().contains("LoadCredential=dccp-master:FILE"), "{error}");
    }
}
