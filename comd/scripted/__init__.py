"""The scripted engine: an OpenAI-compatible server that plays teacher, judge, augmentor and a weak student.

It perceives the demo world's pictures from their pixels and knows nothing but the request. Not a model.
"""
