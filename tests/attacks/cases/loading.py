"""Code that runs when it is only looked at: at publish, validation, planning. These are whole components, not functions."""

from tests.attacks.attack import COMPONENT, IMPORTS
from tests.attacks.attack import PRELUDE as HELPERS

PRELUDE = IMPORTS + HELPERS

CANARY = "/tmp/flowray-canary"
TOUCH = f'''
import os
try:
    open("{CANARY}", "w").close()
    os.system("touch {CANARY}")
except Exception:
    pass
'''
ANSWER = "\ndef answer():\n    return 'held: it ran here'\n"
RUNS = COMPONENT.replace("ATTACK", "answer")

AT_MODULE_LEVEL = PRELUDE + TOUCH + ANSWER + RUNS
IN_A_DECORATOR = (
    PRELUDE
    + ANSWER
    + f"\ndef touch(f):\n    open('{CANARY}', 'w').close()\n    return f\n@touch\ndef unused():\n    pass\n"
    + RUNS
)
IN_A_DEFAULT_ARGUMENT = PRELUDE + ANSWER + f"\ndef unused(x=open('{CANARY}', 'w').close()):\n    pass\n" + RUNS
IN_A_CLASS_BODY = PRELUDE + ANSWER + RUNS + f"    open('{CANARY}', 'w').close()\n"
IN_AN_ANNOTATION = PRELUDE + ANSWER + f"\ndef unused(x: open('{CANARY}', 'w').close()):\n    pass\n" + RUNS
# As published against Langflow's validation route: CVE-2025-3248.
IN_A_CALLED_DECORATOR = (
    PRELUDE + ANSWER + f'\n@exec(\'open(\\"{CANARY}\\", \\"w\\")\')\ndef unused():\n    pass\n' + RUNS
)
IN_AN_EXECUTED_DEFAULT = (
    PRELUDE + ANSWER + f'\ndef unused(x=exec(\'open(\\"{CANARY}\\", \\"w\\")\')):\n    pass\n' + RUNS
)
LOADING = {
    name.lower(): source
    for name, source in dict(globals()).items()
    if name.startswith(("AT_", "IN_")) and isinstance(source, str)
}
# All of them in one that loads, each with a canary of its own; the first lines need nothing but Python.
_ENDS_LOADING = (IN_A_CALLED_DECORATOR, IN_AN_ANNOTATION, IN_A_CLASS_BODY)
_HEADS = {
    name: source.removeprefix(PRELUDE).replace(ANSWER, "").replace(RUNS, "")
    for name, source in LOADING.items()
    if source not in _ENDS_LOADING
} | {"in_a_called_decorator": f'\n@(exec(\'open("{CANARY}", "w")\') or (lambda f: f))\ndef unused():\n    pass\n'}
EVERYWHERE = (
    "".join(head.replace(CANARY, f"{CANARY}-{name}") for name, head in _HEADS.items())
    + PRELUDE
    + ANSWER
    + RUNS
    + f"    open('{CANARY}-in_a_class_body', 'w').close()\n"
)
