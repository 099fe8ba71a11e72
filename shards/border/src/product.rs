//! What work off the turn comes to.

use std::any::{Any, type_name};
use std::fmt;

/// Work of unbounded cost. All that it needs moves into it, and all that comes of it moves out: nothing is shared with it.
pub type Work = Box<dyn FnOnce() -> Product + Send>;

/// A value of a type that only its room knows. Drivers carry it, and cannot look inside.
pub struct Product(Box<dyn Any + Send>);

impl Product {
    pub fn new<T: Any + Send>(value: T) -> Product {
        Product(Box::new(value))
    }

    /// The value. Panics if it is of another type: work and what is done with its product are written in one room, so that is
    /// our bug.
    pub fn take<T: Any + Send>(self) -> T {
        match self.0.downcast() {
            Ok(value) => *value,
            Err(_) => panic!("work came to no {}", type_name::<T>()),
        }
    }
}

impl fmt::Debug for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Product")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_what_the_work_made_of_it() {
        let given = vec![1u8, 2];
        let work: Work = Box::new(move || Product::new((given.len(), given)));
        assert_eq!(work().take::<(usize, Vec<u8>)>(), (2, vec![1, 2]));
    }

    #[test]
    #[should_panic(expected = "work came to no u32")]
    fn a_product_of_another_type_is_a_bug() {
        Product::new(1u8).take::<u32>();
    }
}
