/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay COUNT [FILE...]: runs a fuzz target on so many random inputs, the same each time, and on
 * files; for compilers without libFuzzer, and for valgrind. Prints how many inputs there were.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In memory of just its size. */
static void feed(const uint8_t *bytes, size_t size)
{
    uint8_t *data = malloc(size > 0 ? size : 1);
    if (data == NULL)
        exit(2);
    memcpy(data, bytes, size);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

int main(int argc, char **argv)
{
    uint8_t bytes[256];
    uint64_t x = 1;
    const int count = argc > 1 ? atoi(argv[1]) : 0;
    for (int i = 0; i < count; i++) {
        for (size_t j = 0; j < sizeof bytes; j++) {
            x = x * 6364136223846793005 + 1442695040888963407;
            bytes[j] = (uint8_t)(x >> 56);
        }
        feed(bytes, 16 + (size_t)i % 200);
    }
    for (int i = 2; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (file == NULL)
            return 2;
        feed(bytes, fread(bytes, 1, sizeof bytes, file));
        fclose(file);
    }
    printf("%d\n", count + argc - 2);
    return 0;
}
