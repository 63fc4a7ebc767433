//! What the generator leaves out of each operation: its server, how the key is sent, whether it
//! may be repeated.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use crate::generated::parse;
use crate::spec::{Node, Spec, SpecError};

/// Emits `enum Server` and the table of the operations.
pub(crate) fn table(spec: &Spec) -> Result<syn::File, SpecError> {
    let root = spec.root();
    let mut servers = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut rows = Vec::new();
    for operation in operations(spec)? {
        let id = operation.node.get("operationId")?;
        let name = method_name(&id)?;
        if !seen.insert(name) {
            return Err(id.error("names a second operation; an operationId is unique"));
        }
        let server = server(&operation, &root, &mut servers)?;
        let path = operation.item.name();
        let key = key(&operation, &root)?;
        let repeat = repeat(&operation.node)?;
        let answer = answers_with_json(&operation.node)?;
        rows.push(quote! {
            Operation { id: #name, path: #path, server: #server, key: #key, repeat: #repeat, answers_with_json: #answer }
        });
    }

    let names = servers.keys().map(|name| variant(name));
    let urls = servers.iter().map(|(name, url)| {
        let name = variant(name);
        quote! { Self::#name => #url }
    });
    parse(quote! {
        /// A server of the document.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Server { #(#names),* }

        impl Server {
            /// Where the server is unless the configuration says otherwise.
            pub(crate) const fn default_url(self) -> &'static str {
                match self { #(#urls),* }
            }
        }

        /// All operations of the document.
        pub(crate) const OPERATIONS: &[Operation] = &[#(#rows),*];
    })
}

/// An operation with the path item that it belongs to.
pub(crate) struct Operation<'a> {
    pub(crate) item: Node<'a>,
    pub(crate) node: Node<'a>,
}

pub(crate) fn operations(spec: &Spec) -> Result<Vec<Operation<'_>>, SpecError> {
    let mut operations = Vec::new();
    for item in spec.root().get("paths")?.entries()? {
        if !item.name().starts_with('/') {
            return Err(item.error("a path begins with a slash"));
        }
        if !is_plain(item.name()) {
            return Err(item.error("a path has neither a query nor what a URL spells otherwise"));
        }
        for node in item.entries()? {
            match node.name() {
                name if METHODS.contains(&name) => {
                    operations.push(Operation { item: item.clone(), node });
                }
                "$ref" | "description" | "parameters" | "servers" | "summary" => {}
                name if name.starts_with("x-") => {}
                _ => return Err(node.error(NO_METHOD)),
            }
        }
    }
    Ok(operations)
}

/// Whether a path is in a URL as it stands here: by another one, a request is taken for one that a
/// parameter leads astray.
fn is_plain(path: &str) -> bool {
    let stays =
        |letter: char| letter.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/{}".contains(letter);
    path.chars().all(stays) && !path.split('/').any(|part| matches!(part, "." | ".."))
}

/// An `operationId` that is a method as it is: by another name, the table would not know the operation.
fn method_name<'a>(id: &Node<'a>) -> Result<&'a str, SpecError> {
    let name = id.snake_string()?;
    if name.split('_').any(str::is_empty) {
        return Err(id.error("has an underscore too many"));
    }
    if syn::parse_str::<syn::Ident>(name).is_err() {
        return Err(id.error("is a word of Rust; an operation needs another name"));
    }
    if CLIENT.contains(&name) {
        return Err(id.error("is a method that every client has; an operation needs another name"));
    }
    Ok(name)
}

/// The nearest `servers` wins: the operation's, the path's, the document's.
fn server(
    operation: &Operation<'_>,
    root: &Node<'_>,
    servers: &mut BTreeMap<String, String>,
) -> Result<TokenStream, SpecError> {
    let list = [&operation.node, &operation.item, root]
        .into_iter()
        .find_map(|node| node.find("servers"))
        .ok_or_else(|| operation.node.error("has no server, nor has the document"))?;
    let items = list.items()?;
    let [server] = items.as_slice() else {
        return Err(list.error("must have exactly one server"));
    };
    let name = server.get("x-esper-server")?;
    let url = server.get("url")?;
    let known = servers
        .entry(name.string()?.to_owned())
        .or_insert_with(|| url.value().as_str().unwrap_or_default().to_owned());
    if !is_whole(url.string()?) {
        return Err(url.error("must be an http or https URL without variables, query and fragment"));
    }
    if known != url.string()? {
        return Err(url.error(format!("server `{}` has another url elsewhere", name.string()?)));
    }
    let mut letters = name.string()?.chars();
    if !letters.next().is_some_and(|first| first.is_ascii_lowercase())
        || !letters.all(|rest| rest.is_ascii_lowercase() || rest.is_ascii_digit())
    {
        return Err(name.error("must be one word in lower case"));
    }
    let variant = variant(name.string()?);
    Ok(quote! { Server::#variant })
}

/// Whether a URL is one that a client can be made of.
fn is_whole(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.contains(|letter: char| "{}?#@".contains(letter) || letter.is_whitespace())
    })
}

/// How the key is sent: the operation's `security`, or the document's.
fn key(operation: &Operation<'_>, root: &Node<'_>) -> Result<TokenStream, SpecError> {
    let security = [&operation.node, root]
        .into_iter()
        .find_map(|node| node.find("security"))
        .ok_or_else(|| operation.node.error("has no security, nor has the document"))?;
    let alternatives = security.items()?;
    let [requirement] = alternatives.as_slice() else {
        return Err(security.error("must have exactly one alternative"));
    };
    let schemes = requirement.entries()?;
    let [named] = schemes.as_slice() else {
        return Err(requirement.error("must name exactly one security scheme"));
    };
    let scheme = root
        .find("components")
        .and_then(|components| components.find("securitySchemes")?.find(named.name()))
        .ok_or_else(|| named.error("is not among components > securitySchemes"))?;

    let kind = scheme.get("type")?;
    let (header, prefix) = match kind.string()? {
        "http" => match scheme.get("scheme")?.string()? {
            "bearer" => ("authorization".to_owned(), "Bearer "),
            _ => return Err(scheme.get("scheme")?.error("must be `bearer`")),
        },
        "apiKey" => {
            let place = scheme.get("in")?;
            if place.string()? != "header" {
                return Err(place.error("must be `header`: keys belong in no URL or cookie"));
            }
            let name = scheme.get("name")?;
            let header = header_name(&name)?;
            if header != "authorization" && TAKEN.contains(&header.as_str()) {
                return Err(
                    name.error("is a header with another meaning; a key needs one of its own")
                );
            }
            (header, "")
        }
        _ => return Err(kind.error("must be `http` or `apiKey`")),
    };
    Ok(quote! { KeyHeader { name: #header, prefix: #prefix } })
}

/// A header name in the only form that `HeaderName::from_static` takes.
pub(crate) fn header_name(name: &Node<'_>) -> Result<String, SpecError> {
    let text = name.string()?.to_ascii_lowercase();
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() || !text.bytes().all(token) {
        return Err(name.error("is not the name of a header"));
    }
    Ok(text)
}

fn repeat(operation: &Node<'_>) -> Result<TokenStream, SpecError> {
    let class = operation.get("x-esper-retry")?;
    match class.string()? {
        "always" => Ok(quote! { Repeat::Always }),
        "unprocessed" => Ok(quote! { Repeat::Unprocessed }),
        _ => Err(class.error("must be `always` or `unprocessed`")),
    }
}

/// Whether a success of the operation has a JSON body that means something.
fn answers_with_json(operation: &Node<'_>) -> Result<bool, SpecError> {
    let responses = operation.get("responses")?;
    let mut successes = Vec::new();
    for response in responses.entries()? {
        if response.name().starts_with('2') {
            successes.push(response.resolved()?);
        }
    }
    let [success] = successes.as_slice() else {
        return Err(responses.error("must have exactly one success"));
    };
    match success.find("content") {
        None => Ok(false),
        Some(content) => content.get("application/json").map(|_| true),
    }
}

fn variant(name: &str) -> proc_macro2::Ident {
    let (first, rest) = name.split_at_checked(1).unwrap_or((name, ""));
    format_ident!("{}{rest}", first.to_ascii_uppercase())
}

/// Those that the generated client has a word for.
const METHODS: [&str; 6] = ["get", "put", "post", "delete", "head", "patch"];
const NO_METHOD: &str = "is none of `get`, `put`, `post`, `delete`, `head` and `patch`, nor \
                         `parameters` or `servers`, and would be left out";

/// What is called on the generated client, beside its operations.
const CLIENT: [&str; 6] = ["exec", "inner", "new", "new_with_client", "post", "pre"];

/// The headers that come from elsewhere: from the body and what answers can be read, from `security`,
/// from the connection and the trace.
pub(crate) const TAKEN: [&str; 9] = [
    "accept",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "traceparent",
    "transfer-encoding",
];
