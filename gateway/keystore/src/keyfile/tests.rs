use std::fs;
use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::MasterSource;

const KINDS: [Kind; 4] = [Kind::Operator, Kind::Device, Kind::Node, Kind::Storage];

fn master(folder: &Path, name: &str) -> MasterKey {
    MasterKey::create(&MasterSource::File(folder.join(name)), &mut rand::rng()).unwrap()
}

#[test]
fn a_written_key_reads_back_and_only_its_owner_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("storage.key");
    write(&path, Kind::Storage, &[7; 32], None).unwrap();
    assert_eq!(read(&path, Kind::Storage, None).unwrap().as_slice(), [7; 32]);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&path).unwrap().starts_with("dccp-storage-key-v1:"));
}

#[test]
fn a_sealed_key_reads_back_and_its_file_does_not_show_it() {
    let folder = tempfile::tempdir().unwrap();
    let master = master(folder.path(), "master.key");
    for kind in KINDS {
        let path = folder.path().join(kind.prefix().trim_end_matches(':'));
        let secret = vec![7; kind.secret_bytes()];
        write(&path, kind, &secret, Some(&master)).unwrap();
        assert_eq!(read(&path, kind, Some(&master)).unwrap().as_slice(), secret);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        inspect(&path, kind, true).unwrap();
        let line = fs::read_to_string(&path).unwrap();
        let body = STANDARD.decode(line.trim_end().strip_prefix(kind.sealed_prefix()).unwrap()).unwrap();
        assert!(!body.windows(8).any(|window| window == [7; 8]), "{kind:?}");
    }
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.key");
    write(&path, Kind::Node, &[7; 32], None).unwrap();
    for mode in [0o640, 0o604, 0o660, 0o601] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(read(&path, Kind::Node, None), Err(KeyFileError::Exposed { .. })), "{mode:o}");
    }
}

#[test]
fn a_key_of_another_kind_or_length_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("operator.key");
    write(&path, Kind::Operator, &[7; 64], None).unwrap();
    assert!(matches!(read(&path, Kind::Recovery, None), Err(KeyFileError::NotThisKey { .. })));
    let short = folder.path().join("short.key");
    write(&short, Kind::Operator, &[7; 63], None).unwrap();
    assert!(matches!(read(&short, Kind::Operator, None), Err(KeyFileError::NotThisKey { .. })));
    assert!(matches!(inspect(&short, Kind::Operator, false), Err(KeyFileError::NotThisKey { .. })));
}

#[test]
fn swapped_sealed_files_are_told_apart_and_a_renamed_prefix_does_not_help() {
    let folder = tempfile::tempdir().unwrap();
    let master = master(folder.path(), "master.key");
    let (node, storage) = (folder.path().join("node.key"), folder.path().join("storage.key"));
    write(&node, Kind::Node, &[7; 32], Some(&master)).unwrap();
    write(&storage, Kind::Storage, &[8; 32], Some(&master)).unwrap();
    let swapped = read(&node, Kind::Storage, Some(&master));
    assert!(matches!(swapped, Err(KeyFileError::NotThisKey { expected: "dccp-storage-key-v2:", .. })));
    let renamed = fs::read_to_string(&node).unwrap().replace("dccp-node-key", "dccp-storage-key");
    fs::write(&storage, renamed).unwrap();
    let passed_off = read(&storage, Kind::Storage, Some(&master));
    assert!(matches!(passed_off, Err(KeyFileError::Altered { .. })));
}

#[test]
fn another_master_key_is_named_as_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (master(folder.path(), "ours.key"), master(folder.path(), "theirs.key"));
    let path = folder.path().join("node.key");
    write(&path, Kind::Node, &[7; 32], Some(&ours)).unwrap();
    assert!(matches!(read(&path, Kind::Node, Some(&theirs)), Err(KeyFileError::OtherMaster { .. })));
}

#[test]
fn clear_and_sealed_files_are_not_taken_for_one_another() {
    let folder = tempfile::tempdir().unwrap();
    let master = master(folder.path(), "master.key");
    let (clear, sealed) = (folder.path().join("clear.key"), folder.path().join("sealed.key"));
    write(&clear, Kind::Node, &[7; 32], None).unwrap();
    write(&sealed, Kind::Node, &[7; 32], Some(&master)).unwrap();
    assert!(matches!(read(&clear, Kind::Node, Some(&master)), Err(KeyFileError::Clear { .. })));
    assert!(matches!(read(&sealed, Kind::Node, None), Err(KeyFileError::Sealed { .. })));
    assert!(matches!(inspect(&clear, Kind::Node, true), Err(KeyFileError::Clear { .. })));
    assert!(matches!(inspect(&sealed, Kind::Node, false), Err(KeyFileError::Sealed { .. })));
}

#[test]
fn any_altered_byte_of_a_sealed_key_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let master = master(folder.path(), "master.key");
    let sealed = master.seal(Kind::Node.sealed_prefix(), &[7; 32]);
    let path = folder.path().join("node.key");
    for at in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[at] ^= 1;
        fs::write(&path, format!("{}{}\n", Kind::Node.sealed_prefix(), STANDARD.encode(&altered))).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let refused = read(&path, Kind::Node, Some(&master));
        assert!(
            matches!(refused, Err(KeyFileError::Altered { .. } | KeyFileError::OtherMaster { .. })),
            "byte {at}"
        );
    }
}

#[test]
fn an_existing_key_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.key");
    write(&path, Kind::Node, &[7; 32], None).unwrap();
    let refused = write(&path, Kind::Node, &[8; 32], None);
    assert!(
        matches!(refused, Err(KeyFileError::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists)
    );
    assert_eq!(read(&path, Kind::Node, None).unwrap().as_slice(), [7; 32]);
}
