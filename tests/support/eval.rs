//! A script that evaluates what somebody writes after `+eval`: functions of `vh`, from a test's
//! side, as a script has them.

use super::client::Client;

/// It answers with the value, or the exception.
pub const EVAL: &str = r"
import time
def OnHubCommand(nick, command, user_class, in_pm, prefix):
    if command.startswith('eval '):
        try:
            value = ascii(eval(command[5:]))
        except Exception as error:
            value = f'{type(error).__name__}: {error}'
        vh.usermc('= ' + value, nick)
        return 0
def OnScriptCommand(*args):
    vh.SendDataToAll('<script> ' + ' '.join(args[:3]), 0, 10)
";

/// What an expression of Python gives in the script.
pub fn eval(client: &mut Client, expression: &str) -> String {
    client.chat(&format!("+eval {expression}"));
    client.wait_for("<vhpy> = ").replace("<vhpy> = ", "")
}

/// Checks expressions and their values.
pub fn all(client: &mut Client, cases: &[(&str, &str)]) {
    for (expression, value) in cases {
        assert_eq!(eval(client, expression), *value, "{expression}");
    }
}
