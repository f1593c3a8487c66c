# The numbers of refglow's golden vectors that are made instead of stored; see counter_random.py.
#
#     julia counter_random.jl SEED START COUNT      prints them, one a line

function mix(z::UInt64)
    z = (z ⊻ (z >> 30)) * 0xbf58476d1ce4e5b9
    z = (z ⊻ (z >> 27)) * 0x94d049bb133111eb
    return z ⊻ (z >> 31)
end

"Number k (from 0) of stream `seed`, in (-1, 1)."
function counter_random(seed::UInt64, k::UInt64)
    n = mix(mix(seed) + (k + 0x0000000000000001) * 0x9e3779b97f4a7c15) >> 40
    return Float32((2 * Int64(n) + 1 - 2^24) / 2^24)
end

if abspath(PROGRAM_FILE) == @__FILE__
    seed, start, count = parse.(UInt64, ARGS)
    for k in start:(start + count - 1)
        println(counter_random(seed, k))
    end
end
