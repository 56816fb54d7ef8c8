//! The language in which messages are laid down, field by field in the order of the wire:
//!
//! ```text
//! Name {
//!     field: Type;                     in all versions
//!     field: Type = -1, [3..];         from version 3 on; -1 where it is not sent
//!     field: Type, [12..], tag 0;      tagged (KIP-482): sent when it is not the default
//! }
//! ```

#[macro_export]
macro_rules! message {
    ($($name:ident {
        $($field:ident: $kind:ty
            $(= $default:expr)? $(, [$($versions:tt)+])? $(, tag $tag:literal)?;)*
    })*) => {$(
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name { $(pub $field: $kind,)* }

        impl Default for $name {
            fn default() -> $name {
                $name { $($field: $crate::message!(@default $($default)?),)* }
            }
        }

        impl $crate::wire::Wire for $name {
            #[allow(unused_variables, unused_mut)]
            fn read(
                input: &mut $crate::wire::Input,
                form: $crate::wire::Form,
            ) -> Result<$name, $crate::wire::Malformed> {
                let mut it = $name::default();
                $($crate::message!(
                    @read it $field input form ($($($versions)+)?) $($tag)?
                );)*
                if form.is_flexible {
                    input.tags(|tag, body| {
                        $($crate::message!(
                            @read_tagged it $field tag body form ($($($versions)+)?) $($tag)?
                        );)*
                        Ok(())
                    })?;
                }
                Ok(it)
            }

            #[allow(unused_variables, unused_mut)]
            fn write(&self, output: &mut $crate::wire::Output, form: $crate::wire::Form) {
                let it = self;
                $($crate::message!(
                    @write it $field output form ($($($versions)+)?) $($tag)?
                );)*
                if form.is_flexible {
                    let mut tags = $crate::wire::Output::default();
                    let mut count = 0u32;
                    $($crate::message!(
                        @write_tagged $name it $field tags count form ($($($versions)+)?) $($tag)?
                    );)*
                    $crate::wire::write_unsigned(output, count);
                    output.put_bytes(&tags.into_bytes());
                }
            }
        }
    )*};
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
    (@is $form:ident ()) => { true };
    (@is $form:ident ($($versions:tt)+)) => { ($($versions)+).contains(&$form.version) };

    (@read $it:ident $field:ident $input:ident $form:ident $versions:tt $tag:literal) => {};
    (@read $it:ident $field:ident $input:ident $form:ident $versions:tt) => {
        if $crate::message!(@is $form $versions) {
            $it.$field = $crate::wire::Wire::read($input, $form)?;
        }
    };
    (@read_tagged $it:ident $field:ident $at:ident $body:ident $form:ident $versions:tt) => {};
    (@read_tagged $it:ident $field:ident $at:ident $body:ident $form:ident $versions:tt
        $tag:literal) => {
        if $at == $tag && $crate::message!(@is $form $versions) {
            $it.$field = $crate::wire::Wire::read($body, $form)?;
        }
    };
    (@write $it:ident $field:ident $output:ident $form:ident $versions:tt $tag:literal) => {};
    (@write $it:ident $field:ident $output:ident $form:ident $versions:tt) => {
        if $crate::message!(@is $form $versions) {
            $crate::wire::Wire::write(&$it.$field, $output, $form);
        }
    };
    (@write_tagged $name:ident $it:ident $field:ident $tags:ident $count:ident $form:ident
        $versions:tt) => {};
    (@write_tagged $name:ident $it:ident $field:ident $tags:ident $count:ident $form:ident
        $versions:tt $tag:literal) => {
        let is_usual = $it.$field == $name::default().$field;
        if !is_usual && $crate::message!(@is $form $versions) {
            let body = $crate::wire::Wire::to_bytes(&$it.$field, $form);
            $crate::wire::write_unsigned(&mut $tags, $tag);
            $crate::wire::write_unsigned(&mut $tags, u32::try_from(body.len()).unwrap_or(u32::MAX));
            $tags.extend_from_slice(&body);
            $count += 1;
        }
    };
}
