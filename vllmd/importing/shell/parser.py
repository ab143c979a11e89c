"""Tokens as the commands of a script. Pure."""

import re

from vllmd.errors import VllmdError
from vllmd.importing.shell.lexer import Token, tokens_of
from vllmd.importing.shell.syntax import (
    AndOr,
    Arithmetic,
    Block,
    CaseClause,
    Condition,
    CountingFor,
    For,
    Function,
    Group,
    If,
    Node,
    Pipeline,
    Redirection,
    Simple,
    While,
    Word,
)
from vllmd.importing.unknown import Place

ASSIGNMENT = re.compile(r"[A-Za-z_]\w*(?:\[[^\]]*\])?\+?=")
"""The begin of a word that sets a variable."""
_ENDS = frozenset({"then", "do", "done", "fi", "else", "elif", "esac", "}"})


def parse(text: str, place: Place) -> Block:
    """Return a script's commands; `place` is that of its first line.

    Raises: VllmdError: it is no script, with the line of what is wrong.
    """
    parser = _Parser(list(tokens_of(text, place)), place)
    block = parser.block()
    parser.expect_end()
    return block


class _Parser:
    """Reads one command after the other."""

    def __init__(self, tokens: list[Token], place: Place) -> None:
        self._tokens = [*tokens, Token("end", "", tokens[-1].line)]
        self._at = 0
        self._given: tuple[Redirection, ...] = ()
        self._source = place.source

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def expect_end(self) -> None:
        """Raise if there is more."""
        if self._token.kind != "end":
            raise self._error(f"{self._token.text!r} is not expected here")

    def block(self) -> Block:
        """Read commands until one is due that ends them."""
        line = self._token.line
        commands: list[Node] = []
        background: set[int] = set()
        while True:
            while self._token.kind == "newline" or self._is_operator(";"):
                self._at += 1
            if self._at_end_of_block():
                return Block(tuple(commands), frozenset(background), line)
            commands.append(self._and_or())
            if self._is_operator("&"):
                background.add(len(commands) - 1)
                self._at += 1
            elif not (
                self._token.kind == "newline" or self._is_operator(";") or self._at_end_of_block()
            ):
                raise self._error(f"{self._token.text!r} is not expected here")

    def _at_end_of_block(self) -> bool:
        token = self._token
        operator = token.kind == "operator" and token.text in (")", ";;", ";&", ";;&")
        word = token.kind == "word" and token.text in _ENDS
        return token.kind == "end" or operator or word

    def _and_or(self) -> Node:
        line = self._token.line
        commands, operators = [self._pipeline()], []
        while self._token.kind == "operator" and self._token.text in ("&&", "||"):
            operators.append(self._token.text)
            self._at += 1
            self._skip_newlines()
            commands.append(self._pipeline())
        if not operators:
            return commands[0]
        return AndOr(tuple(commands), tuple(operators), line)

    def _pipeline(self) -> Node:
        line = self._token.line
        negated = False
        while self._is_word("!"):
            negated, self._at = not negated, self._at + 1
        if self._is_word("time"):
            self._at += 1
        commands = [self._command()]
        while self._token.kind == "operator" and self._token.text in ("|", "|&"):
            self._at += 1
            self._skip_newlines()
            commands.append(self._command())
        if len(commands) == 1 and not negated:
            return commands[0]
        return Pipeline(tuple(commands), negated, line)

    def _command(self) -> Node:
        token = self._token
        if token.kind == "arithmetic":
            self._at += 1
            return Arithmetic(token.text, token.line)
        if token.kind == "operator" and token.text == "(":
            return self._group("(", ")")
        if token.kind == "word":
            match token.text:
                case "{":
                    return self._group("{", "}")
                case "if":
                    return self._if()
                case "for" | "select":
                    return self._for()
                case "while" | "until":
                    return self._while()
                case "case":
                    return self._case()
                case "[[":
                    return self._test()
                case "function":
                    return self._function(keyword=True)
            following = self._tokens[self._at + 1 : self._at + 3]
            if [each.text for each in following] == ["(", ")"]:
                return self._function(keyword=False)
        return self._simple()

    def _simple(self) -> Simple:
        line = self._token.line
        assignments: list[Word] = []
        words: list[Word] = []
        redirections: list[Redirection] = []
        while self._token.kind in ("word", "redirection"):
            token = self._token
            if token.kind == "redirection":
                redirections.append(self._redirection())
                continue
            word = Word(token.text, token.line)
            (words if words or not ASSIGNMENT.match(token.text) else assignments).append(word)
            self._at += 1
        if not (assignments or words or redirections):
            raise self._error(f"a command is missing before {self._token.text!r}")
        return Simple(tuple(assignments), tuple(words), tuple(redirections), line)

    def _redirection(self) -> Redirection:
        token = self._token
        target = self._tokens[self._at + 1]
        if target.kind != "word":
            raise self._error(f"a file is missing after {token.text!r}")
        self._at += 2
        word = Word(target.text, target.line)
        return Redirection(token.text, word, token.body, token.literal)

    def _redirections(self) -> tuple[Redirection, ...]:
        found = []
        while self._token.kind == "redirection":
            found.append(self._redirection())
        return tuple(found)

    def _group(self, opening: str, closing: str) -> Group:
        line = self._token.line
        self._at += 1
        body = self.block()
        self._take(closing)
        return Group(body, opening == "(", self._redirections(), line)

    def _if(self) -> Node:
        line = self._token.line
        branches: list[tuple[Block | None, Block]] = []
        while self._token.text in ("if", "elif"):
            self._at += 1
            condition = self.block()
            self._take("then")
            branches.append((condition, self.block()))
        if self._is_word("else"):
            self._at += 1
            branches.append((None, self.block()))
        self._take("fi")
        self._redirections()
        return If(tuple(branches), line)

    def _for(self) -> Node:
        line = self._token.line
        self._at += 1
        if self._token.kind == "arithmetic":
            first, condition, step = [*self._token.text.split(";"), "", ""][:3]
            self._at += 1
            return CountingFor(first, condition, step, self._loop_body(), line)
        name = self._token.text
        self._at += 1
        self._skip_newlines()
        words: tuple[Word, ...] | None = None
        if self._is_word("in"):
            self._at += 1
            taken = []
            while self._token.kind == "word":
                taken.append(Word(self._token.text, self._token.line))
                self._at += 1
            words = tuple(taken)
        return For(name, words, self._loop_body(), line)

    def _loop_body(self) -> Block:
        while self._token.kind == "newline" or self._is_operator(";"):
            self._at += 1
        closing = "}" if self._is_word("{") else "done"
        self._take("{" if closing == "}" else "do")
        body = self.block()
        self._take(closing)
        self._given = self._redirections()
        return body

    def _while(self) -> While:
        line, until = self._token.line, self._token.text == "until"
        self._at += 1
        condition = self.block()
        body = self._loop_body()
        return While(condition, until, body, line, self._given)

    def _case(self) -> CaseClause:
        line = self._token.line
        word = Word(self._tokens[self._at + 1].text, line)
        self._at += 2
        self._skip_newlines()
        self._take("in")
        branches = []
        while True:
            self._skip_newlines()
            if self._is_word("esac"):
                break
            if self._is_operator("("):
                self._at += 1
            patterns = []
            while self._token.kind == "word":
                patterns.append(Word(self._token.text, self._token.line))
                self._at += 1
                if self._is_operator("|"):
                    self._at += 1
            self._take(")")
            branches.append((tuple(patterns), self.block()))
            if self._token.kind == "operator" and self._token.text in (";;", ";&", ";;&"):
                self._at += 1
        self._take("esac")
        return CaseClause(word, tuple(branches), line)

    def _test(self) -> Condition:
        line = self._token.line
        self._at += 1
        words = []
        while not self._is_word("]]"):
            if self._token.kind == "end":
                raise self._error("'[[' has no ']]'")
            if self._token.kind != "newline":
                words.append(Word(self._token.text, self._token.line))
            self._at += 1
        self._at += 1
        return Condition(tuple(words), line)

    def _function(self, *, keyword: bool) -> Function:
        line = self._token.line
        self._at += keyword
        name = self._token.text
        self._at += 1
        while self._is_operator("(") or self._is_operator(")"):
            self._at += 1
        self._skip_newlines()
        return Function(name, self._command(), line)

    def _take(self, text: str) -> None:
        if self._token.text != text:
            got = self._token.text.strip() or "the end"
            raise self._error(f"{text!r} is expected, and {got!r} is there")
        self._at += 1

    def _skip_newlines(self) -> None:
        while self._token.kind == "newline":
            self._at += 1

    def _is_word(self, text: str) -> bool:
        return self._token.kind == "word" and self._token.text == text

    def _is_operator(self, text: str) -> bool:
        return self._token.kind == "operator" and self._token.text == text

    def _error(self, what: str) -> VllmdError:
        return VllmdError(f"{self._source}:{self._token.line}: {what}: is it a shell script?")
