//! The W3C view of organisations, people and ended DIDs.

mod common;

use common::{NOW, Organisation};
use data_encoding::BASE64URL_NOPAD;
use dccp::Suite;
use dccp::did::{Change, Device, EndpointId, Manifest, Service, w3c};
use dccp::keys::{DeviceSigner, SigningKey};
use serde_json::Value;

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

#[test]
fn an_organisation_is_shown_with_its_operators_devices_and_services() {
    let acme = Organisation::acme();
    let document = acme.log.verify().unwrap();
    let devices = acme.manifest().verify(&document, NOW).unwrap();
    let view = w3c::document(&document, Some(&devices));
    let did = acme.did();

    assert_eq!(view["id"], did.as_str());
    assert_eq!(strings(&view["alsoKnownAs"]), ["did:web:acme.example"]);
    let methods = view["verificationMethod"].as_array().unwrap();
    let ids: Vec<_> = methods.iter().map(|method| method["id"].as_str().unwrap()).collect();
    let (operator, device) = (acme.operator.verifying_key().key_id(), acme.device.verifying_key().key_id());
    let kem = acme.device_kem.encapsulation_key().key_id();
    let expected = [
        format!("{did}#{operator}-ed25519"),
        format!("{did}#{operator}-mldsa65"),
        format!("{did}#{device}-ed25519"),
        format!("{did}#{device}-mldsa65"),
        format!("{did}#{kem}-x25519"),
        format!("{did}#{kem}-mlkem768"),
    ];
    assert_eq!(ids, expected);
    assert_eq!(strings(&view["capabilityInvocation"]), ids[..2]);
    assert_eq!(strings(&view["authentication"]), ids[2..4]);
    assert_eq!(strings(&view["assertionMethod"]), ids[2..4]);
    assert_eq!(strings(&view["keyAgreement"]), ids[4..]);
    assert!(
        methods.iter().all(|method| method["type"] == "Multikey" && method["controller"] == did.as_str())
    );

    let services = view["service"].as_array().unwrap();
    let shown: Vec<_> = services.iter().map(|service| service["id"].as_str().unwrap()).collect();
    assert_eq!(shown, ["inbox", "priority", "agent-service"].map(|id| format!("{did}#{id}")));
    assert!(services.iter().all(|service| service["serviceEndpoint"] == did.as_str()));
}

#[test]
fn multikeys_hold_the_registered_codec_and_the_key() {
    let acme = Organisation::acme();
    let document = acme.log.verify().unwrap();
    let devices = acme.manifest().verify(&document, NOW).unwrap();
    let view = w3c::document(&document, Some(&devices));
    let multibase = |at: usize| view["verificationMethod"][at]["publicKeyMultibase"].as_str().unwrap();

    // Every Ed25519 Multikey begins so, every X25519 Multikey so.
    assert!(multibase(0).starts_with("z6Mk") && multibase(4).starts_with("z6LS"));
    let decoded =
        |at: usize| BASE64URL_NOPAD.decode(multibase(at).strip_prefix('u').unwrap().as_bytes()).unwrap();
    let operator = acme.operator.verifying_key().to_bytes();
    assert_eq!(decoded(1), [&[0x91, 0x24], &operator[32..]].concat());
    let kem = acme.device_kem.encapsulation_key().to_bytes();
    assert_eq!(decoded(5), [&[0x8c, 0x24], &kem[..1184]].concat());
}

#[test]
fn an_endpoint_that_the_log_names_is_shown() {
    let acme = Organisation::acme();
    let mut change: Change = acme.log.verify().unwrap().change().clone();
    let uri = "https://gw.acme.example/priority".to_owned();
    change.services.push(Service::Endpoint { id: EndpointId::Priority, uri });
    let document = acme.log.update(&change, &[&acme.operator]).unwrap().verify().unwrap();
    let view = w3c::document(&document, None);
    assert_eq!(view["service"][1]["serviceEndpoint"], "https://gw.acme.example/priority");
    assert_eq!(view["service"][0]["serviceEndpoint"], acme.did().as_str());
}

#[test]
fn a_revoked_device_is_not_shown() {
    let acme = Organisation::acme();
    let document = acme.log.verify().unwrap();
    let devices = acme.manifest().verify(&document, NOW).unwrap();
    let gateway = devices.iter().next().unwrap().clone();
    let lost = Device {
        id: "lost".into(),
        signing: DeviceSigner::from(SigningKey::from_seed(&[77; 64])).verifying_key().clone(),
        revoked: Some(NOW),
        ..gateway.clone()
    };
    let manifest =
        Manifest::sign(&acme.did(), 2, &[lost, gateway], &[Suite::X0001], &[&acme.operator]).unwrap();
    let view = w3c::document(&document, Some(&manifest.verify(&document, NOW).unwrap()));
    let shown = format!("{}#{}-ed25519", acme.did(), acme.device.verifying_key().key_id());
    assert_eq!(strings(&view["authentication"])[0], shown);
    assert_eq!(strings(&view["authentication"]).len(), 2);
}

#[test]
fn of_a_deactivated_did_only_the_id_is_left() {
    let acme = Organisation::acme();
    let recovery = SigningKey::from_seed(&[11; 64]);
    let document = acme.log.deactivate(&[&recovery]).unwrap().verify().unwrap();
    let result = w3c::resolution(&document, None);
    assert_eq!(result["didDocumentMetadata"]["deactivated"], true);
    assert_eq!(result["didDocumentMetadata"]["versionId"], "1");
    let view = result["didDocument"].as_object().unwrap();
    assert_eq!(view.keys().collect::<Vec<_>>(), ["@context", "id"]);
}
