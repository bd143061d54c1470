//! Schema stand-ins for fields of foreign types: `#[schemars(with = "Vec<text::Listen>")]`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

macro_rules! formats {
    ($($name:ident = $format:literal),* $(,)?) => {$(
        #[doc = concat!("Text of the format `", $format, "`.")]
        pub(crate) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $format })
            }
        }
    )*};
}
formats! {
    Domain = "domain",
    Listen = "listen-address",
    LoopbackListen = "loopback-listen-address",
    Server = "server-address",
    HostPort = "host-port",
    HttpsUrl = "https-url",
    Mailbox = "mailbox",
    Network = "network",
    Multiaddr = "multiaddr",
    HeaderMark = "header-mark",
    Pattern = "address-pattern",
    File = "file",
    SecretFile = "secret-file",
    Folder = "folder",
}
