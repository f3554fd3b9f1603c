"""LlamaIndex's own engines, pipelines and agents on our LLM and our embeddings, against the simulator.

The fixtures judge every test as well: see `kit.Observers`.
"""
