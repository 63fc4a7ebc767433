//! The generated surface in a form that people can review: a change of the spec, or of what is
//! made of it, shows as a change of `snapshots/it__surface__….snap`.
//!
//! To accept a change: `INSTA_UPDATE=always cargo test --all-features --test it surface`, then
//! read the difference in the snapshot and commit it.

use std::fmt::Write as _;

use quote::ToTokens;
use syn::{
    Attribute, Expr, ExprStruct, FnArg, ImplItem, Item, ItemEnum, ItemImpl, ItemStruct, Stmt,
};

#[test]
fn a_change_of_the_generated_surface_is_seen() {
    let mut listing = String::new();
    types(&mut listing);
    methods(&mut listing);
    calls(&mut listing);
    operations(&mut listing);
    options(&mut listing);
    // What the listing says comes from the spec, where and how it was made does not matter.
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(true);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("generated", listing));
}

/// The types, as they are before the rest of the crate adds methods to them.
fn types(listing: &mut String) {
    let file = parse(include_str!(concat!(env!("OUT_DIR"), "/bindings.rs")));
    let types = file.items.into_iter().find_map(|item| match item {
        Item::Mod(module) if module.ident == "types" => module.content,
        _ => None,
    });
    for item in types.expect("the types").1 {
        match item {
            Item::Struct(item) => structure(listing, &item),
            Item::Enum(item) => enumeration(listing, &item),
            _ => {}
        }
    }
}

fn structure(listing: &mut String, item: &ItemStruct) {
    head(listing, "struct", &item.ident.to_string(), &item.attrs);
    for (field, member) in item.fields.iter().zip(item.fields.members()) {
        let (name, kind) = (compact(&member), compact(&field.ty));
        let visible = compact(&field.vis);
        line(listing, format!("{visible} {name}: {kind}{}", on_the_wire(&field.attrs)));
    }
}

fn enumeration(listing: &mut String, item: &ItemEnum) {
    head(listing, "enum", &item.ident.to_string(), &item.attrs);
    for variant in &item.variants {
        line(listing, format!("{}{}", compact(&variant.ident), on_the_wire(&variant.attrs)));
    }
}

fn head(listing: &mut String, kind: &str, name: &str, attributes: &[Attribute]) {
    let mut traits = Vec::new();
    let mut open = "";
    for attribute in attributes {
        if attribute.path().is_ident("derive") {
            let list = compact(&attribute.meta.require_list().expect("a list").tokens);
            traits.extend(list.split(", ").map(str::to_owned));
        } else if attribute.path().is_ident("cfg_attr") {
            let list = compact(&attribute.meta.require_list().expect("a list").tokens);
            traits.push(format!("[{list}]"));
        } else if attribute.path().is_ident("non_exhaustive") {
            open = ", non-exhaustive";
        }
    }
    traits.sort();
    writeln!(listing, "\n{kind} {name}{open}: {}", traits.join(", ")).expect("a string");
}

/// What serde is told about a part: its other name, and when it is left out.
fn on_the_wire(attributes: &[Attribute]) -> String {
    let serde = attributes.iter().filter(|attribute| attribute.path().is_ident("serde"));
    serde
        .map(|attribute| {
            let list = &attribute.meta.require_list().expect("a list").tokens;
            // A path in a string is as the generator's printer spaced it.
            format!("  [{}]", compact(list).replace(" ::", "::").replace(":: ", "::"))
        })
        .collect()
}

fn methods(listing: &mut String) {
    let file = parse(include_str!(concat!(env!("OUT_DIR"), "/requests.rs")));
    let mut blocks: Vec<_> = file
        .items
        .into_iter()
        .map(|item| match item {
            Item::Impl(block) => (compact(&block.self_ty), block),
            other => panic!("{}", compact(&other)),
        })
        .collect();
    blocks.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (name, ItemImpl { items, .. }) in blocks {
        writeln!(listing, "\nimpl {name}").expect("a string");
        for item in items {
            let ImplItem::Fn(method) = item else { panic!("{}", compact(&item)) };
            let inputs = method.sig.inputs.iter().map(|input| match input {
                FnArg::Receiver(this) => compact(this).replace("mut ", ""),
                FnArg::Typed(typed) => format!("{}: {}", compact(&typed.pat), compact(&typed.ty)),
            });
            let inputs = inputs.collect::<Vec<_>>().join(", ");
            let (visible, output) = (compact(&method.vis), compact(&method.sig.output));
            line(listing, format!("{visible} {}({inputs}) {output}", method.sig.ident));
            // The limits that a request is held to are part of what users meet.
            if method.sig.ident == "check" {
                let body = compact(&method.block);
                for call in body.split("crate::check::").skip(1) {
                    line(listing, format!("  {}", call.split('?').next().expect("a call")));
                }
            }
        }
    }
}

/// What the generated client sends for each operation.
fn calls(listing: &mut String) {
    listing.push_str("\ncalls\n");
    let file = parse(include_str!(concat!(env!("OUT_DIR"), "/bindings.rs")));
    for item in file.items {
        let Item::Impl(ItemImpl { items, trait_: None, .. }) = item else { continue };
        for item in items {
            let ImplItem::Fn(method) = item else { continue };
            if method.sig.asyncness.is_none() {
                continue;
            }
            let body = compact(&method.block);
            let between = |start: &str, end: char| {
                let rest = body.split_once(start).unwrap_or_else(|| panic!("{start}: {body}")).1;
                rest.split(end).next().unwrap_or_default()
            };
            let verb = between("self.client.", '(').to_uppercase();
            let (path, output) = (between("format!(\"{}", '"'), compact(&method.sig.output));
            line(listing, format!("{}: {verb} {path} {output}", method.sig.ident));
        }
    }
}

/// The servers and the table of the operations.
fn operations(listing: &mut String) {
    for item in parse(include_str!(concat!(env!("OUT_DIR"), "/operations.rs"))).items {
        match item {
            Item::Enum(item) => enumeration(listing, &item),
            Item::Impl(block) => default_urls(listing, &block),
            Item::Const(constant) => {
                writeln!(listing, "\n{}", constant.ident).expect("a string");
                let Expr::Reference(reference) = *constant.expr else { panic!("a reference") };
                let Expr::Array(rows) = *reference.expr else { panic!("an array") };
                let mut rows: Vec<_> = rows.elems.iter().map(row).collect();
                rows.sort();
                rows.into_iter().for_each(|row| line(listing, row));
            }
            other => panic!("{}", compact(&other)),
        }
    }
}

fn default_urls(listing: &mut String, block: &ItemImpl) {
    for item in &block.items {
        let ImplItem::Fn(method) = item else { panic!("{}", compact(item)) };
        let [Stmt::Expr(Expr::Match(choice), _)] = method.block.stmts.as_slice() else {
            panic!("{}", compact(&method.block))
        };
        for arm in &choice.arms {
            let (name, url) = (compact(&arm.pat), compact(&arm.body));
            line(listing, format!("{} of {name} = {url}", method.sig.ident));
        }
    }
}

fn row(row: &Expr) -> String {
    let Expr::Struct(ExprStruct { fields, .. }) = row else { panic!("{}", compact(row)) };
    let cells =
        fields.iter().map(|cell| format!("{}: {}", compact(&cell.member), compact(&cell.expr)));
    cells.collect::<Vec<_>>().join(", ")
}

/// The defaults of the options, and the variables that they are read from.
fn options(listing: &mut String) {
    listing.push_str("\noptions\n");
    for item in parse(include_str!(concat!(env!("OUT_DIR"), "/options.rs"))).items {
        let Item::Const(constant) = item else { panic!("{}", compact(&item)) };
        let (kind, value) = (compact(&constant.ty), compact(&constant.expr));
        line(listing, format!("{}: {kind} = {value}", constant.ident));
    }
}

fn parse(code: &str) -> syn::File {
    syn::parse_file(code).expect("Rust")
}

fn line(listing: &mut String, text: String) {
    writeln!(listing, "    {text}").expect("a string");
}

/// Rust in one line, spaced by rules of its own: those of the printers change.
fn compact(code: &impl ToTokens) -> String {
    let text = code.to_token_stream().to_string();
    let mut line = String::new();
    // Every other part is the inside of a string, which keeps its spaces.
    for (index, part) in text.split('"').enumerate() {
        if index % 2 == 1 {
            write!(line, "\"{part}\"").expect("a string");
            continue;
        }
        let mut previous = ' ';
        for word in part.split_whitespace() {
            let next = word.chars().next().unwrap_or_default();
            let (before, after) = (is_word(previous), is_word(next));
            if before && after || ",".contains(previous) || previous == '>' && after {
                line.push(' ');
            }
            line.push_str(word);
            previous = word.chars().last().unwrap_or_default();
        }
    }
    let line = [", >", ", )", ", }", ",>", ",)", ",}"]
        .iter()
        .fold(line, |line, end| line.replace(end, &end[end.len() - 1..]));
    let line = line.replace("->::", "-> ::");
    ["string", "option", "result", "time", "collections"]
        .iter()
        .fold(line, |line, module| line.replace(&format!("::std::{module}::"), ""))
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}
