//! The defaults that every SDK of the family shares, from `x-esper-configuration`.

use proc_macro2::Literal;
use quote::{format_ident, quote};

use crate::generated::parse;
use crate::spec::{Node, Spec, SpecError};

/// Emits a constant for each default and each environment variable.
pub(crate) fn defaults(spec: &Spec) -> Result<syn::File, SpecError> {
    let mut constants = Vec::new();
    for option in spec.root().get("x-esper-configuration")?.entries()? {
        let name = option.snake_name()?.to_ascii_uppercase();
        let about = option.get("description")?.string()?;
        if let Some(default) = option.find("default") {
            let (kind, value) = typed(&option, &default)?;
            let name = format_ident!("{name}");
            constants.push(quote! { #[doc = #about] pub(crate) const #name: #kind = #value; });
        }
        if let Some(variable) = option.find("environment") {
            let (name, variable) = (format_ident!("{name}_VARIABLE"), variable.string()?);
            constants.push(quote! { #[doc = #about] pub(crate) const #name: &str = #variable; });
        }
    }
    parse(quote! { #(#constants)* })
}

/// The Rust type and value of a default, by its unit.
fn typed(
    option: &Node<'_>,
    default: &Node<'_>,
) -> Result<(proc_macro2::TokenStream, proc_macro2::TokenStream), SpecError> {
    let unit = option.get("unit")?;
    let value = default.unsigned()?;
    match unit.string()? {
        "milliseconds" => {
            let millis = Literal::u64_unsuffixed(value);
            let duration = quote! { ::std::time::Duration };
            Ok((duration.clone(), quote! { #duration::from_millis(#millis) }))
        }
        "attempts" => {
            let count =
                u32::try_from(value).map_err(|_| default.error("must be below 4294967296"))?;
            let count = Literal::u32_unsuffixed(count);
            Ok((quote! { u32 }, quote! { #count }))
        }
        _ => Err(unit.error("must be `milliseconds` or `attempts`")),
    }
}
