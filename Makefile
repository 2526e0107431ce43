# Thin: what each target does is in stack/, .ci/ and the binary itself.
.PHONY: stack-up stack-down

stack-up:
	stack/stack up

stack-down:
	stack/stack down
