//! `ALTER TABLE`: what it makes of a table's definition; how a table is put in another's place is
//! in [`define`](super::define).

use sqlparser::ast::{
    AlterColumnOperation, AlterTableOperation, ColumnOption, DataType, MySQLColumnPosition, ObjectName,
    RenameTableNameKind,
};

use super::SqlError;
use super::catalog::Table;
use super::define::{Definition, count_from, own_names, remove_key};
use super::expression::{Binder, unsupported};
use super::parse;

impl Binder<'_> {
    /// `ALTER TABLE`.
    pub fn alter(&mut self, name: &ObjectName, changes: &[parse::Change]) -> Result<Definition, SqlError> {
        let old = self.changeable(name)?;
        let mut table = (*old).clone();
        // For each new column: what it was.
        let mut origins = own_names(&old);
        let mut counter = None;
        for change in changes {
            match change {
                parse::Change::RenameIndex(from, to) => {
                    let (from, to) = (self.source.name(&from.value), self.source.name(&to.value));
                    let key = table.keys.iter_mut().find(|key| key.name.eq_ignore_ascii_case(&from));
                    key.ok_or_else(|| SqlError::NoKey(from.clone()))?.name = to;
                }
                parse::Change::Parsed(operation) => {
                    self.change(&mut table, &mut origins, &mut counter, operation)?
                }
            }
        }
        let mut definition = self.rebuilt(&old, table.clone(), &origins)?;
        if let (Some(counter), Some(_)) = (counter, table.auto()) {
            definition.steps.extend(count_from(&table.name, counter));
        }
        Ok(definition)
    }

    fn change(
        &mut self,
        table: &mut Table,
        origins: &mut Vec<(String, String)>,
        counter: &mut Option<i64>,
        operation: &AlterTableOperation,
    ) -> Result<(), SqlError> {
        match operation {
            AlterTableOperation::AddColumn { if_not_exists, column_def, column_position, .. } => {
                let name = self.source.name(&column_def.name.value);
                if *if_not_exists && table.column(&name).is_some() {
                    return Ok(());
                }
                self.add_column(table, column_def, false, column_position.as_ref())
            }
            AlterTableOperation::DropColumn { column_names, if_exists, .. } => {
                for name in column_names {
                    let name = self.source.name(&name.value);
                    let Some(at) = table.position(&name) else {
                        if *if_exists {
                            continue;
                        }
                        return Err(SqlError::CannotDrop(format!("COLUMN `{name}`")));
                    };
                    table.columns.remove(at);
                    origins.retain(|(new, _)| !new.eq_ignore_ascii_case(&name));
                    table
                        .keys
                        .iter_mut()
                        .for_each(|key| key.columns.retain(|column| !column.eq_ignore_ascii_case(&name)));
                    table.keys.retain(|key| !key.columns.is_empty());
                }
                Ok(())
            }
            AlterTableOperation::ModifyColumn { col_name, data_type, options, column_position } => {
                let name = self.source.name(&col_name.value);
                self.redefine(table, origins, &name, &name, data_type, options, column_position.as_ref())
            }
            AlterTableOperation::ChangeColumn { old_name, new_name, data_type, options, column_position } => {
                let (old, new) = (self.source.name(&old_name.value), self.source.name(&new_name.value));
                self.redefine(table, origins, &old, &new, data_type, options, column_position.as_ref())
            }
            AlterTableOperation::RenameColumn { old_column_name, new_column_name } => {
                let (old, new) =
                    (self.source.name(&old_column_name.value), self.source.name(&new_column_name.value));
                rename_column(table, origins, &old, &new)
            }
            AlterTableOperation::AlterColumn { column_name, op } => {
                let name = self.source.name(&column_name.value);
                let at = table.position(&name).ok_or(SqlError::NoColumn(name))?;
                let Some(column) = table.columns.get_mut(at) else { return Ok(()) };
                match op {
                    AlterColumnOperation::SetDefault { value } => {
                        column.default = self.default(value, &column.kind.clone())?
                    }
                    AlterColumnOperation::DropDefault => column.default = None,
                    other => return Err(unsupported(other.to_string())),
                }
                Ok(())
            }
            AlterTableOperation::AddConstraint { constraint, .. } => self.add_constraint(table, constraint),
            AlterTableOperation::DropPrimaryKey { .. } => remove_key(table, "PRIMARY"),
            AlterTableOperation::DropIndex { name } => {
                let name = self.source.name(&name.value);
                remove_key(table, &name)
            }
            AlterTableOperation::DropForeignKey { .. }
            | AlterTableOperation::Algorithm { .. }
            | AlterTableOperation::Lock { .. } => Ok(()),
            AlterTableOperation::RenameTable {
                table_name: RenameTableNameKind::To(name) | RenameTableNameKind::As(name),
            } => {
                table.name = self.table_name(name)?;
                Ok(())
            }
            AlterTableOperation::AutoIncrement { value, .. } => {
                *counter = value.value.to_string().parse().ok();
                Ok(())
            }
            other => Err(unsupported(format!("ALTER TABLE … {other:.60}"))),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "what ALTER TABLE says of a column")]
    fn redefine(
        &mut self,
        table: &mut Table,
        origins: &mut [(String, String)],
        old: &str,
        new: &str,
        data_type: &DataType,
        options: &[ColumnOption],
        place: Option<&MySQLColumnPosition>,
    ) -> Result<(), SqlError> {
        if !old.eq_ignore_ascii_case(new) {
            rename_column(table, origins, old, new)?;
        }
        let at = table.position(new).ok_or_else(|| SqlError::NoColumn(old.into()))?;
        let mut keys = Vec::new();
        let mut column = self.defined(new, data_type, options, false, &mut keys)?;
        let was = table.columns.remove(at);
        column.not_null |= table.keys.iter().any(|key| key.is_primary() && key.columns.contains(&was.name));
        match place {
            None => table.columns.insert(at, column),
            place => self.put(table, column, place)?,
        }
        table.keys.append(&mut keys);
        Ok(())
    }
}

fn rename_column(
    table: &mut Table,
    origins: &mut [(String, String)],
    old: &str,
    new: &str,
) -> Result<(), SqlError> {
    let at = table.position(old).ok_or_else(|| SqlError::NoColumn(old.into()))?;
    if table.position(new).is_some_and(|other| other != at) {
        return Err(SqlError::Wrong(format!("Duplicate column name '{new}'")));
    }
    if let Some(column) = table.columns.get_mut(at) {
        column.name = new.into();
    }
    let in_keys = table.keys.iter_mut().flat_map(|key| &mut key.columns);
    let names = in_keys.chain(origins.iter_mut().map(|(name, _)| name));
    names.filter(|name| name.eq_ignore_ascii_case(old)).for_each(|name| *name = new.into());
    Ok(())
}
